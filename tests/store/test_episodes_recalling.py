"""Recall: by words and likeness, of what passes the filter, with failures apart; no query breaks it."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard.store import InvalidEpisode
from callboard.store.episodes import Filter, finding, words

from ..manual_clock import ManualClock
from .embedders import Fake, Synonyms
from .remembered import indexed, opened, situations, told, warned


async def test_failures_come_apart_as_warnings(tmp_path: Path) -> None:
    async with opened(tmp_path) as memory:
        await memory.remember(told("restart the server by hand", worked=True))
        await memory.remember(told("restart the server by script", worked=False))
        await memory.remember(told("restart the server by wish"))
        found = await memory.recall("restart the server")
        assert situations(found) == ["restart the server by hand", "restart the server by wish"]
        assert warned(found) == ["restart the server by script"]


async def test_the_filter_decides_what_is_considered(tmp_path: Path) -> None:
    async with opened(tmp_path) as memory:
        for name, fields in _KINDS.items():
            await memory.remember(told(f"an egg was {name}", **fields))
        await indexed(memory, len(_KINDS))

        async def found(**fields: Any) -> tuple[set[str], set[str]]:
            both = await memory.recall("egg", 50, wanted=Filter(**fields))
            return {text[11:] for text in situations(both)}, {text[11:] for text in warned(both)}

        everything = _KINDS.keys() - {"bad"}
        assert await found() == (everything, {"bad"})
        assert await found(worked=True) == ({"good"}, {"bad"})
        assert await found(worked=False) == (set(), {"bad"})
        assert await found(min_trust=1) == (everything - {"foreign"}, {"bad"})
        assert await found(min_trust=2) == ({"owned"}, set())
        assert await found(where={"about": "hen"}) == ({"laid"}, set())
        assert await found(where={"source": "farm"}) == ({"laid", "sent"}, set())
        assert await found(where={"source": "farm", "about": "hen"}) == ({"laid"}, set())
        assert await found(where={"size": "L"}) == ({"big"}, set())
        assert await found(where={"size": "L", "colour": "red"}) == ({"big"}, set())
        assert await found(where={"size": "S"}) == (set(), set())
        assert await found(where={"situation": "an egg was laid"}) == (set(), set()), "no column but the two"
        assert await found(where={"x' OR 1 --": ""}) == (set(), set())
        assert await found(where={"about": ""}) == (everything - {"laid"}, {"bad"})


_KINDS: dict[str, dict[str, Any]] = {
    "plain": {}, "good": {"worked": True}, "bad": {"worked": False}, "foreign": {"trust": 0}, "owned": {"trust": 2},
    "laid": {"about": "hen", "source": "farm"}, "sent": {"source": "farm"},
    "big": {"labels": {"size": "L", "colour": "red"}},
}  # fmt: skip


async def test_a_page_takes_worked_by_the_letter(tmp_path: Path) -> None:
    async with opened(tmp_path) as memory:
        for worked in (True, False, None):
            await memory.remember(told(f"it is {worked}", worked=worked))

        async def page(**fields: Any) -> list[str]:
            rows = await memory.page(below=99, limit=9, wanted=Filter(**fields))
            return [row.recalled.episode.situation for row in rows]

        assert await page() == ["it is None", "it is False", "it is True"]
        assert await page(worked=True) == ["it is True"]
        assert await page(worked=False) == ["it is False"]


_WRONG: list[dict[str, Any]] = [
    {"where": {"about": 1}},
    {"where": {"\ud800": "x"}},
    {"where": {"x": "\ud800"}},
    {"where": {"x": ["y"]}},
    {"min_trust": "high"},
    {"worked": "yes"},
    {"at": "now"},
    {"at": float("nan")},
    {"at": float("inf")},
]


@pytest.mark.parametrize("fields", _WRONG, ids=lambda each: str(each)[:30])
async def test_a_filter_that_is_not_legal_is_refused(tmp_path: Path, fields: dict[str, Any]) -> None:
    async with opened(tmp_path) as memory:
        await memory.remember(told("x"))
        with pytest.raises(InvalidEpisode):
            await memory.recall("x", wanted=Filter(**fields))
        with pytest.raises(InvalidEpisode):
            await memory.page(below=9, limit=9, wanted=Filter(**fields))


_QUERIES = [
    '"', '""', '"""', "'", "''; DROP TABLE words; --", "* ", "egg*", "^egg",
    "egg AND", "OR OR OR", "NOT", "NEAR(egg, 2)",
    "situation : egg", "{situation cause} : egg", "-egg",
    "+egg + +", "(egg", "egg)", "egg\x00hen", "\x00", "\ud800 egg",
    "egg \udfff", "e" * 8000, "egg " * 2000, "the of and to", "_", "__ _", "egg_hen",
    "蛋 鸡 在 哪里", "яйцо", "बैंगन अंडा",
    "ไข่ไก่", "بيضة", "🥚🐔", "e\u0301gg", "\u202eegg", "ﬁ ﬀ", "İıŞ", "½ ² Ⅷ", "egg\tegg\negg", "%s %d {0}", "\ufeffegg",
]  # fmt: skip


@pytest.mark.parametrize("query", _QUERIES, ids=lambda each: ascii(each)[:24])
async def test_no_query_is_an_operator_or_an_error(tmp_path: Path, query: str) -> None:
    for embedder in (Fake(), _away()):
        async with opened(tmp_path, embedder=embedder) as memory:
            await memory.remember(told("the hen laid an egg"))
            await memory.remember(told("AND OR NOT NEAR"))
            found = await memory.recall(query)
            if "egg" in query.split():
                assert situations(found)[0] == "the hen laid an egg"
                assert found.by == "words and vectors" or len(found.episodes) == 1


def _away() -> Fake:
    embedder = Fake()
    embedder.away = True
    return embedder


@given(st.text(max_size=300))
def test_what_fts_is_asked_is_only_ever_quoted_words(query: str) -> None:
    terms = words.terms_of(query)
    asked = words.any_of(terms)
    assert len(terms) <= words.TERMS_MOST
    assert all(term and '"' not in term and "\x00" not in term for term in terms)
    assert asked == " OR ".join(f'"{term}"' for term in terms)


@pytest.mark.parametrize("text", ["蛋 鸡", "яйцо курицы", "बैंगन अंडा", "بيضة", "ÉGALITÉ", "straße", "naïve café"])
async def test_words_of_other_scripts_are_found_again(tmp_path: Path, text: str) -> None:
    async with opened(tmp_path, embedder=_away()) as memory:
        await memory.remember(told("something else"))
        await memory.remember(told(text))
        for word in text.split():
            assert situations(await memory.recall(word)) == [text]


@pytest.mark.parametrize(("query", "k"), [("", 5), (" \n", 5), ("x" * 8001, 5), ("x", 0), ("x", 101), ("x", -1)])
async def test_what_cannot_be_asked_is_refused(tmp_path: Path, query: str, k: int) -> None:
    async with opened(tmp_path) as memory:
        with pytest.raises(InvalidEpisode):
            await memory.recall(query, k)


async def test_an_empty_memory_gives_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as memory:
        found = await memory.recall("anything")
        assert (found.episodes, found.warnings, found.by, found.trust) == ([], [], "words", 2)


async def test_the_trust_of_a_recall_is_the_least_of_what_was_found(tmp_path: Path) -> None:
    async with opened(tmp_path) as memory:
        await memory.remember(told("egg one", trust=2))
        assert (await memory.recall("egg")).trust == 2
        await memory.remember(told("egg two", trust=0, worked=False))
        assert (await memory.recall("egg")).trust == 0
        assert (await memory.recall("egg", wanted=Filter(min_trust=1))).trust == 2


async def test_as_many_come_as_are_asked_for(tmp_path: Path) -> None:
    async with opened(tmp_path) as memory:
        for at in range(150):
            await memory.remember(told(f"egg number {at}"))
        await indexed(memory, 150)
        for k in (1, 5, 50, 100):
            assert len((await memory.recall("egg number", k)).episodes) == k


@pytest.mark.parametrize("query", ["deploy of the shop", "shop deploy", "kaputt"])
async def test_a_success_is_found_among_many_failures(tmp_path: Path, query: str) -> None:
    async with opened(tmp_path, embedder=Synonyms()) as memory:
        for at in range(120):
            await memory.remember(told("deploy of the shop broken", action=f"try {at}", worked=False))
        best = "deploy of the shop broken on a calm Sunday after a long rest"
        await memory.remember(told(best, worked=True))
        await indexed(memory, 121)
        for worked in (None, True):
            found = await memory.recall(query, wanted=Filter(worked=worked))
            assert situations(found) == [best]
            assert len(found.warnings) == 5


async def test_what_is_valid_is_found_behind_all_that_it_superseded(tmp_path: Path, clock: ManualClock) -> None:
    """By likeness alone: no word is in common."""
    async with opened(tmp_path, clock=clock, embedder=Synonyms()) as memory:
        last = ""
        for at in range(120):
            last = (await memory.remember(told("limit", cause=f"{at}", supersedes=(last,) if last else ()))).id
            await clock.advance(1)
        await memory.remember(told("something else"))
        await indexed(memory, 121)
        best = (await memory.recall("cap")).episodes[0]
        assert best.id == last
        assert best.likeness == pytest.approx(1.0, abs=1e-5)
        [old] = (await memory.recall("cap", wanted=Filter(at=clock.now() - 110.5))).episodes
        assert old.episode.cause == "9"


async def test_what_passes_a_filter_is_found_behind_all_that_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By likeness alone, in a memory of which too many pass to compare each."""
    for name, value in {"FEW": 5, "CANDIDATES": 10, "WIDER": 2}.items():
        monkeypatch.setattr(finding, name, value)
    async with opened(tmp_path, embedder=Synonyms()) as memory:
        for at in range(100):
            await memory.remember(told(f"fried egg {at % 3}", cause=f"{at}", labels={"lang": "en"}))
        for at in range(30):
            await memory.remember(told(f"ei {at}", labels={"lang": "de"}))
        await indexed(memory, 130)
        found = await memory.recall("fried egg", 8, wanted=Filter(where={"lang": "de"}))
        assert len(found.episodes) == 8
        assert all(each.likeness is not None for each in found.episodes)
