"""How well memory finds what matters, on other people's data: ``python -m benchmarks.recall_quality --data FOLDER``.

LoCoMo (``locomo/dev.json``): long talks and questions about them; a hit is any turn that answers the question among
the first five. Adversarial questions, which no turn answers, are left out. The weights of the ranking were chosen on
talks 1 to 3; 4 and 5 were held out, and both are shown. Banking77 (``banking77/train.csv``): ten questions of each of
77 intents are remembered, and another ten of each asked; a hit is the right intent first. The mean of five draws from
its training part, which is not held out: the weights were looked at on other draws from it. All goes through
``EpisodeFile.recall``, but for the rows that say otherwise. The data is not ours, and is no part of this project.
"""

import argparse
import csv
import json
import random
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import anyio

from callboard.actors.embedding import MiniLmEmbedder, StaticEmbedder
from callboard.actors.models import State, model_named, state_of
from callboard.errors import WorldError
from callboard.store.episodes import Embedder, Episode

from . import recall_file, report
from .names import LIMIT
from .report import Row

TUNED: Final = 3
"""Talks on which the weights were chosen."""
ADVERSARIAL: Final = 5
FIRST: Final = 5
EACH: Final = 10
SEEDS: Final = range(5)
_TURN: Final = re.compile(r"D\d+:\d+")
WORDS, STATIC, MINILM = "words alone", "static", "MiniLM"
RESULTS: Final = Path(__file__).parent / "results" / "latest.json"
BETTER: Final = {STATIC: 3.0, MINILM: 6.0}
"""Points of hit@5 above words alone that are aimed at."""
RIGHT: Final = {STATIC: 74.0, MINILM: 82.0}
"""Percent of right intents that are aimed at."""


class Away:
    """An embedder that is never there, so that recall goes by words alone, as it does then."""

    id = "away"
    dimensions = 1
    local = False

    async def embed(self, texts: Sequence[str]) -> Any:  # noqa: ARG002 - the protocol's
        """Fail."""
        raise WorldError("there is no embedder here, on purpose")


class Case(NamedTuple):
    """What is remembered, and what is asked: with each question the numbers of the texts that are right."""

    texts: list[str]
    asked: list[tuple[str, set[int]]]


def talks_of(data: Path) -> list[Case]:
    """Return each talk of LoCoMo."""
    return [_talk(each) for each in json.loads((data / "locomo" / "dev.json").read_text(encoding="utf-8"))]


def _talk(talk: dict[str, Any]) -> Case:
    sessions = [turns for turns in talk["conversation"].values() if isinstance(turns, list)]
    turns = [turn for session in sessions for turn in session]
    places = {turn["dia_id"]: at for at, turn in enumerate(turns)}
    asked = list[tuple[str, set[int]]]()
    for each in talk["qa"]:
        named = _TURN.findall(" ".join(each["evidence"]))  # some entries name several
        right = {places[name] for name in named if name in places}
        if each["category"] != ADVERSARIAL and right:
            asked.append((each["question"], right))
    return Case([f"{turn['speaker']}: {turn['text']}" for turn in turns], asked)


def intents_of(data: Path, seed: int) -> Case:
    """Return a draw of Banking77: ten of each intent to remember, and ten others to ask."""
    with (data / "banking77" / "train.csv").open(encoding="utf-8", newline="") as file:
        rows = [(row["text"].strip(), row["category"]) for row in csv.DictReader(file)]
    random.Random(seed).shuffle(rows)  # noqa: S311 - repeatable, no secret
    by_intent = dict[str, list[str]]()
    for text, intent in rows:
        by_intent.setdefault(intent, []).append(text)
    texts = [text for each in by_intent.values() for text in each[:EACH]]
    asked = list[tuple[str, set[int]]]()
    for at, each in enumerate(by_intent.values()):
        right = set(range(at * EACH, (at + 1) * EACH))
        asked += [(text, right) for text in each[EACH : 2 * EACH]]
    return Case(texts, asked)


async def hits(case: Case, embedder: Embedder, k: int) -> list[bool]:
    """Return for each question whether one of the first `k` was right."""
    async with recall_file.opened(embedder) as file:
        numbers = dict[str, set[int]]()
        for number, text in enumerate(case.texts):
            numbers.setdefault((await file.remember(Episode(situation=text))).id, set()).add(number)
        while file.indexer.behind and not isinstance(embedder, Away):
            await file.indexer.caught_up(60.0)
        found = list[bool]()
        for question, right in case.asked:
            episodes = (await file.recall(question, k)).episodes
            found.append(any(numbers[each.id] & right for each in episodes))
        return found


async def nearest(case: Case, embedder: Embedder) -> list[bool]:
    """Return for each question whether the text with the nearest vector was right: what the embedder does alone."""
    likeness = await embedder.embed([question for question, _ in case.asked]) @ (await embedder.embed(case.texts)).T
    return [at in right for at, (_, right) in zip(likeness.argmax(axis=1).tolist(), case.asked, strict=True)]


async def measure(data: Path) -> list[Row]:
    """Return the rows, and print each as it comes."""
    talks, draws, rows = talks_of(data), [intents_of(data, seed) for seed in SEEDS], list[Row]()
    words = dict[str, float]()
    for name, embedder in _embedders().items():
        tuned, held = [
            percent([hit for talk in part for hit in await hits(talk, embedder, FIRST)])
            for part in (talks[:TUNED], talks[TUNED:])
        ]
        first = percent([hit for draw in draws for hit in await hits(draw, embedder, 1)])
        _say(f"{name}: LoCoMo tuned {tuned:.1f}, held out {held:.1f}; Banking77 {first:.1f}")
        if name == WORDS:
            words = {"talks 1-3, tuned on": tuned, "talks 4-5, held out": held}
            continue
        for (part, base), ours in zip(words.items(), (tuned, held), strict=True):
            rows.append(_row(f"LoCoMo hit@5, {part}, {name}", "% of questions", ours, (WORDS, base, BETTER[name])))
        alone = percent([hit for draw in draws for hit in await nearest(draw, embedder)])
        _say(f"{name}: Banking77 by the nearest vector {alone:.1f}")
        aim = (LIMIT, RIGHT[name], 0.0)
        rows.append(_row(f"Banking77, first of recall, {name}", "% of questions", first, aim))
        rows.append(_row(f"Banking77, nearest vector alone, {name}", "% of questions", alone, aim))
    return rows


def _embedders() -> dict[str, Embedder]:
    found: dict[str, Embedder] = {WORDS: Away(), STATIC: StaticEmbedder()}
    if state_of(model_named("minilm")) is State.FETCHED:
        found[MINILM] = MiniLmEmbedder()
    else:
        _say(f"skipped: {MINILM}: 'callboard model fetch minilm' brings it")
    return found


def _row(work: str, unit: str, ours: float, aim: tuple[str, float, float]) -> Row:
    peer, theirs, points = aim
    return Row(
        work=work, unit=unit, ours=round(ours, 1), peer=peer, theirs=round(theirs, 1), ratio=round(ours / theirs, 3),
        better="higher", reach=round((theirs + points) / theirs, 3), spread=0.0, rounds=1,
    )  # fmt: skip


def percent(hit: list[bool]) -> float:
    """Return how many of them were hits."""
    return 100.0 * sum(hit) / len(hit)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Measure, and put the rows among the others."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recall_quality", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds locomo/ and banking77/")
    rows = anyio.run(measure, parser.parse_args().data)
    print(report.table(rows, {}))
    report.publish(RESULTS, rows, 0.0)  # what is found does not depend on how busy the machine is


if __name__ == "__main__":
    main()
