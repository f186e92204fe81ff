"""What calls did cost is taken from their leases, once; what a dead holder had left counts as spent."""

import math
from pathlib import Path

import pytest

from callboard.store import InvalidLimit
from callboard.store.office import Over

from ...manual_clock import ManualClock
from .purse import Sums, entry, leased, opened, refused, request, rows, sums, window, wrong

pytestmark = pytest.mark.anyio


async def test_a_cost_moves_from_what_is_put_aside_to_what_is_spent(tmp_path: Path, clock: ManualClock) -> None:
    async with opened(tmp_path, clock) as office:
        first = await leased(office, request(window(), window("tree/1"), least=100))
        done = await office.settle("c", 1, [entry(first.id, 30), entry(first.id, 20)])
        assert (done.new, done.over) == (2, ())
        assert await sums(office) == await sums(office, "tree/1") == Sums(50, 50, 0)


async def test_an_entry_told_again_counts_once(tmp_path: Path, clock: ManualClock) -> None:
    async with opened(tmp_path, clock) as office:
        first = await leased(office, request(window(), least=100))
        same = entry(first.id, 30)
        assert (await office.settle("c", 1, [same, same])).new == 1
        assert (await office.settle("c", 2, [same])).new == 0
        assert await sums(office) == Sums(30, 70, 0)


async def test_what_is_beyond_a_lease_counts_as_spent_and_is_said(tmp_path: Path, clock: ManualClock) -> None:
    async with opened(tmp_path, clock) as office:
        first = await leased(office, request(window(limit=100), least=100))
        late = entry(first.id, 130)
        done = await office.settle("c", 1, [late])
        assert done.over == (Over(entry=late.id, lease=first.id, amount=30, counted=True),)
        assert await sums(office) == Sums(130, 0, 30)
        assert (await refused(office, request(window(limit=100)))).free == -30


async def test_an_entry_without_a_lease_touches_no_budget(tmp_path: Path, clock: ManualClock) -> None:
    async with opened(tmp_path, clock) as office:
        await leased(office, request(window(), least=100))
        assert (await office.settle("c", 1, [entry(cache="hit")])).over == ()
        spent = entry(0, 5)
        done = await office.settle("c", 1, [spent])
        assert done.over == (Over(entry=spent.id, lease=0, amount=5, counted=False),)
        assert await sums(office) == Sums(0, 100, 0)


async def test_what_was_not_settled_is_free_again_once_it_is_given_back(tmp_path: Path, clock: ManualClock) -> None:
    async with opened(tmp_path, clock) as office:
        first = await leased(office, request(window(limit=100), least=100))
        await office.settle("c", 1, [entry(first.id, 30)])
        assert await office.give_back("c", 1, [first.id]) == 70
        assert await office.give_back("c", 1, [first.id, first.id, 99]) == 0
        assert await sums(office) == Sums(30, 0, 0)
        assert (await leased(office, request(window(limit=100), least=70))).amount == 70


async def test_what_is_settled_after_it_was_given_back_counts_as_spent(tmp_path: Path, clock: ManualClock) -> None:
    async with opened(tmp_path, clock) as office:
        first = await leased(office, request(window(), least=100))
        await office.give_back("c", 1, [first.id])
        assert [over.amount for over in (await office.settle("c", 1, [entry(first.id, 40)])).over] == [40]
        assert await sums(office) == Sums(40, 0, 40)


async def test_only_the_cell_that_leased_may_give_back(tmp_path: Path, clock: ManualClock) -> None:
    async with opened(tmp_path, clock) as office:
        first = await leased(office, request(window(), least=100, cell="c", epoch=3))
        assert await office.give_back("d", 3, [first.id]) == 0
        assert await office.give_back("c", 2, [first.id]) == 0
        assert await office.give_back("c", 4, [first.id]) == 0, "what a life before may have spent is not free"
        assert (await sums(office)).reserved == 100
        assert await office.give_back("c", 3, [first.id]) == 100


async def test_a_cell_settles_its_own_leases_and_those_of_its_lives_before(tmp_path: Path, clock: ManualClock) -> None:
    async with opened(tmp_path, clock) as office:
        first = await leased(office, request(window(), least=100, cell="c", epoch=3))
        strange = await office.settle("d", 3, [entry(first.id, 10)])
        assert [over.counted for over in strange.over] == [False]
        assert [over.counted for over in (await office.settle("c", 2, [entry(first.id, 10)])).over] == [False]
        assert await sums(office) == Sums(0, 100, 0)
        assert (await office.settle("c", 4, [entry(first.id, 10)])).over == ()
        assert await sums(office) == Sums(10, 90, 0)
        assert (await office.costs())[0].cost == 30, "the ledger has all of it"


async def test_what_a_dead_cell_had_left_counts_as_spent(tmp_path: Path, clock: ManualClock) -> None:
    async with opened(tmp_path, clock) as office:
        old = await leased(office, request(window(), least=100, epoch=1, actor="editor"))
        await office.settle("c", 1, [entry(old.id, 30)])
        new = await leased(office, request(window(), least=100, epoch=2))
        other = await leased(office, request(window(), least=100, epoch=1, cell="d"))
        [lost] = await office.bury("c", 2)
        assert (lost.lease, lost.actor, lost.amount) == (old.id, "editor", 70)
        assert await sums(office) == Sums(100, 200, 0)
        [row] = await rows(office, "SELECT actor, cell, cost, worst, lease FROM ledger WHERE how = 'lost'")
        assert row == ("editor", "c", 70, 70, old.id)
        assert await office.bury("c", 2) == []
        assert await rows(office, "SELECT id FROM leases WHERE rest > 0") == [(new.id,), (other.id,)]


async def test_an_entry_that_comes_after_the_burial_accounts_for_what_was_lost(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with opened(tmp_path, clock) as office:
        old = await leased(office, request(window(), least=100))
        await office.bury("c", 2)
        assert (await office.settle("c", 1, [entry(old.id, 60)])).over == ()
        assert await sums(office) == Sums(100, 0, 0)
        assert (await office.costs())[0].cost == 100, "nothing is twice in the ledger"
        assert [over.amount for over in (await office.settle("c", 1, [entry(old.id, 50)])).over] == [10]
        assert await sums(office) == Sums(110, 0, 10)
        assert await office.db.read(wrong) == []


async def test_leases_expire_after_their_end_or_by_their_age(tmp_path: Path, clock: ManualClock) -> None:
    async with opened(tmp_path, clock) as office:
        now = clock.now()
        hour = await leased(office, request(window("a/hour", end=now + 10), least=100))
        tree = await leased(office, request(window("tree/1"), least=100))
        assert await office.expire(now + 10, made_before=now) == []
        assert [lost.lease for lost in await office.expire(now + 10.5)] == [hour.id]
        assert (await sums(office, "a/hour")).spent == 100
        assert [lost.lease for lost in await office.expire(-math.inf, made_before=now + 1)] == [tree.id]
        assert (await sums(office, "tree/1")).spent == 100


async def test_an_entry_that_makes_no_sense_is_refused_with_all_that_came_with_it(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with opened(tmp_path, clock) as office:
        first = await leased(office, request(window(), least=100))
        for bad in (
            entry(first.id, -1), entry(first.id, 10**19), entry(input=-1), entry(at=math.nan), entry(seconds=math.inf),
            entry(id=""), entry(id="lost/1"), entry(cost=1.5),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        ):  # fmt: skip
            with pytest.raises(InvalidLimit):
                await office.settle("c", 1, [entry(first.id, 10), bad])
        assert await sums(office) == Sums(0, 100, 0)
        assert await rows(office, "SELECT * FROM ledger") == []


async def test_text_that_is_no_utf_8_does_not_keep_money_out_of_the_ledger(tmp_path: Path, clock: ManualClock) -> None:
    async with opened(tmp_path, clock) as office:
        first = await leased(office, request(window(), least=100))
        await office.settle("c", 1, [entry(first.id, 10, how="wrong", raw="\ud800" + "é" * 70_000, message="\udfff")])
        [(raw, message)] = await rows(office, "SELECT raw, message FROM ledger")
        assert raw.startswith("?é")
        assert 65_000 < len(raw.encode()) <= 65_536
        assert message == "?"
        assert (await sums(office)).spent == 10
