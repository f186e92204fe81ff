"""What was spent, on what, and what came of it."""

import math
import random
from pathlib import Path

import pytest

from callboard.store.office import CostRow, Entry, PromptRow, TokenRow, costs

from ...manual_clock import ManualClock
from .purse import entry, leased, opened, request, rows, window

pytestmark = pytest.mark.anyio
DAY = 86400.0
START = 1_700_000_000.0 // DAY * DAY


async def test_an_entry_is_written_down_whole_under_the_cell_that_settles(tmp_path: Path, clock: ManualClock) -> None:
    whole = Entry(
        id="i", at=5.0, cell="liar", actor="a", message="m", tree="t", tenant="n", asked="best", endpoint="e",
        served="best-2", prompt="p", version="3", input=10, output=20, cached=5, reasoning=7, cost=0, input_cost=3,
        worst=90, seconds=1.5, first=0.25, cache="hit", key=b"k", how="repaired", why="y", lease=0, chars=40, raw="r",
    )  # fmt: skip
    async with opened(tmp_path, clock) as office:
        await office.settle("c", 1, [whole])
        [row] = await rows(office, f"SELECT {', '.join(Entry.__struct_fields__)} FROM ledger")  # noqa: S608 - ours
    assert row == (
        "i", 5.0, "c", "a", "m", "t", "n", "best", "e", "best-2", "p", "3", 10, 20, 5, 7, 0, 3, 90, 1.5, 0.25, "hit",
        b"k", "repaired", "y", 0, 40, "r",
    )  # fmt: skip


async def test_costs_are_summed_by_what_calls_have_in_common(tmp_path: Path, clock: ManualClock) -> None:
    async with opened(tmp_path, clock) as office:
        money = await leased(office, request(window(limit=10**9), least=10**6))
        calls = (
            entry(money.id, 100, at=START, message="m1", served="big", prompt="p", key=b"k", input=5, output=6,
                  cached=2, reasoning=1, seconds=2.0),
            entry(at=START + 1, message="m2", served="big", prompt="p", key=b"k", cache="hit", seconds=0.5),
            entry(money.id, 30, at=START + DAY, actor="b", asked="small", how="wrong"),
            entry(money.id, 5, at=START + DAY, actor="b", asked="small", how="cancelled"),
            entry(at=START + 2 * DAY, actor="b", asked="small", how="failed"),
        )  # fmt: skip
        await office.settle("c", 1, calls)
        assert await office.outcome("m1", good=True) == 1
        assert await office.outcome("m2", good=False) == 1
        a = CostRow(
            name="a", calls=2, hits=1, input=5, output=6, cached=2, reasoning=1, cost=100, saved=100, seconds=2.5,
            good=1, bad=1,
        )  # fmt: skip
        b = CostRow(name="b", calls=3, cost=35, failures=2)
        assert await office.costs("actor") == [a, b]
        assert [(row.name, row.cost) for row in await office.costs("model")] == [("", 100), ("small", 35)]
        assert [(row.name, row.calls) for row in await office.costs("prompt")] == [("p", 2), ("", 3)]
        days = [(row.name, row.cost) for row in await office.costs("day")]
        assert days == [("2023-11-14", 100), ("2023-11-15", 35), ("2023-11-16", 0)]
        [total] = await office.costs()
        assert (total.name, total.calls, total.cost, total.saved) == ("", 5, 135, 100)
        assert [row.cost for row in await office.costs("", START + 1, START + DAY)] == [0]
        assert await office.costs("", START + 9 * DAY) == []


async def test_a_hit_saves_what_the_call_did_cost_that_made_the_answer(tmp_path: Path, clock: ManualClock) -> None:
    async with opened(tmp_path, clock) as office:
        money = await leased(office, request(window(limit=10**9), least=1000))
        calls = (
            entry(money.id, 7, key=b"k"), entry(money.id, 90, key=b"k", how="wrong"), entry(cache="hit", key=b"k"),
            entry(money.id, 8, key=b"k", how="repaired"), entry(cache="hit", key=b"k"), entry(cache="hit", key=b"x"),
            entry(money.id, 9), entry(cache="hit"),
        )  # fmt: skip
        await office.settle("c", 1, calls)
        assert [row.saved for row in await office.costs()] == [15]


async def test_what_was_lost_with_a_lease_is_a_cost_and_no_call(tmp_path: Path, clock: ManualClock) -> None:
    async with opened(tmp_path, clock) as office:
        await leased(office, request(window(limit=10**9), least=1000, actor="a"))
        await office.bury("c", 2)
        assert await office.costs("actor") == [CostRow(name="a", cost=1000)]


async def test_the_longest_prompts_are_told(tmp_path: Path, clock: ManualClock) -> None:
    async with opened(tmp_path, clock) as office:
        calls = (
            entry(prompt="p", version="1", input=100, cached=80, input_cost=5),
            entry(prompt="p", version="1", input=300, input_cost=6),
            entry(prompt="p", version="1", cache="hit"), entry(prompt="p", version="2", input=10), entry(prompt="q"),
        )  # fmt: skip
        await office.settle("c", 1, calls)
        first, second = await office.longest(2)
        assert first == PromptRow(
            prompt="p", version="1", calls=2, average=200.0, largest=300, cached=0.2, input_cost=11
        )  # fmt: skip
        assert (second.version, second.average) == ("2", 10.0)
        assert await office.longest(9, since=START + 9 * DAY) == []


async def test_the_tokens_of_each_model_are_told(tmp_path: Path, clock: ManualClock) -> None:
    async with opened(tmp_path, clock) as office:
        calls = (
            entry(endpoint="e", served="m", input=10, output=20, cached=3, reasoning=4),
            entry(endpoint="e", served="m", input=1), entry(endpoint="e", served="m", cache="hit", input=99),
            entry(endpoint="f", asked="n", output=5),
        )  # fmt: skip
        await office.settle("c", 1, calls)
        assert await office.tokens() == [
            TokenRow(endpoint="e", model="m", input=11, output=20, cached=3),
            TokenRow(endpoint="f", model="n", input=0, output=5, cached=0),
        ]


async def test_a_question_asked_in_stretches_has_the_same_answer(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(7)  # noqa: S311 - a reproducible choice
    async with opened(tmp_path, clock) as office:
        times = [START + chance.choice([1, 1, 1, 2, 5, 9, DAY]) for _ in range(300)]
        some = [entry(at=at, prompt=chance.choice("pq"), input=chance.randrange(99)) for at in times]
        await office.settle("c", 1, some)
        asked = [(by, since) for by in ("actor", "day", "prompt") for since in (-math.inf, START + 2)]
        whole = [await office.costs(by, since) for by, since in asked] + [await office.longest(5)]  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        for portion in (1, 7, 100, 299, 300):
            monkeypatch.setattr(costs, "PORTION", portion)
            parts = [await office.costs(by, since) for by, since in asked] + [await office.longest(5)]  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
            assert parts == whole


async def test_the_last_word_on_a_message_counts_for_all_its_calls(tmp_path: Path, clock: ManualClock) -> None:
    async with opened(tmp_path, clock) as office:
        await office.settle("c", 1, [entry(message="m"), entry(message="m"), entry(message="n"), entry()])
        assert await office.outcome("m", good=True) == 2
        assert await office.outcome("m", good=False) == 2
        assert await office.outcome("", good=False) == 0
        [total] = await office.costs()
        assert (total.good, total.bad) == (0, 2)
