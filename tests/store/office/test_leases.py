"""What may be spent is put aside first, in all windows at once."""

import sqlite3
import stat
from pathlib import Path

import anyio
import pytest

from callboard.store import Fenced, InvalidLimit, OwnerConflict, StoreError
from callboard.store.office import Crossed, OfficeFile

from ...manual_clock import ManualClock
from .purse import Sums, entry, leased, opened, refused, request, rows, sums, window, wrong

pytestmark = pytest.mark.anyio


async def test_a_lease_is_what_was_wanted_but_at_most_a_part_of_what_is_free(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with opened(tmp_path, clock) as office:
        assert (await leased(office, request(window(limit=3200), want=60))).amount == 60
        assert (await leased(office, request(window(limit=3200), want=500))).amount == 3140 // 32
        assert (await leased(office, request(window(limit=3200), least=2000, want=500))).amount == 2000
        assert await sums(office) == Sums(0, 60 + 98 + 2000, 0)


async def test_the_smallest_of_its_windows_decides_how_much_a_lease_is(tmp_path: Path, clock: ManualClock) -> None:
    async with opened(tmp_path, clock) as office:
        wanted = request(window("fleet/day", 64_000), window("tree/1", 640), want=10_000)
        assert (await leased(office, wanted)).amount == 20
        assert (await sums(office, "fleet/day")).reserved == (await sums(office, "tree/1")).reserved == 20


async def test_less_than_the_least_is_refused_and_nothing_is_put_aside(tmp_path: Path, clock: ManualClock) -> None:
    async with opened(tmp_path, clock) as office:
        await leased(office, request(window("tree/1", 100), least=90))
        no = await refused(office, request(window("fleet/day", 1000), window("tree/1", 100), least=11))
        assert (no.window, no.free, no.limit) == ("tree/1", 10, 100)
        assert await sums(office, "fleet/day") == Sums(0, 0, 0)
        await leased(office, request(window("fleet/day", 1000), window("tree/1", 100), least=10))


async def test_of_several_windows_that_refuse_the_one_that_ends_last_is_told(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with opened(tmp_path, clock) as office:
        hour, day = window("a/hour", 5, end=3600.0), window("a/day", 5, end=86400.0)
        no = await refused(office, request(day, hour, least=6))
        assert (no.window, no.end) == ("a/day", 86400.0)


async def test_a_lease_ends_with_the_first_of_its_windows(tmp_path: Path, clock: ManualClock) -> None:
    async with opened(tmp_path, clock) as office:
        hour, day = window("a/hour", end=3600.0), window("a/day", end=86400.0)
        assert (await leased(office, request(day, hour))).until == 3600.0


async def test_without_windows_nothing_limits_a_lease(tmp_path: Path, clock: ManualClock) -> None:
    async with opened(tmp_path, clock) as office:
        first = await leased(office, request(least=5, want=10**15))
        assert (first.amount, first.until) == (10**15, float("inf"))
        done = await office.settle("c", 1, [entry(first.id, 10**15 + 5)])
        assert done.over == ()
        second = await leased(office, request(want=70))
        assert [lost.amount for lost in await office.bury("c", 2)] == [70]
        assert (await office.costs())[0].cost == 10**15 + 5  # nobody had put the 70 aside
        assert (await office.settle("c", 1, [entry(second.id, 70)])).over == ()


async def test_a_limit_applies_as_soon_as_it_is_changed_also_below_what_is_spent(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with opened(tmp_path, clock) as office:
        first = await leased(office, request(window(limit=1000), least=400))
        await office.settle("c", 1, [entry(first.id, 100)])
        no = await refused(office, request(window(limit=300), least=1))
        assert (no.free, no.limit) == (-100, 300)
        await office.give_back("c", 1, [first.id])
        assert (await leased(office, request(window(limit=300), least=200))).amount == 200
        assert (await refused(office, request(window(limit=50), least=0))).free == -250
        assert (await leased(office, request(window(limit=2000), least=1700))).amount == 1700
        assert await office.db.read(wrong) == []


async def test_what_a_lowered_limit_found_above_it_shrinks_and_does_not_come_back(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with opened(tmp_path, clock) as office:
        first = await leased(office, request(window(limit=1000), least=400))
        second = await leased(office, request(window(limit=1000), least=400))
        await refused(office, request(window(limit=500), least=1))
        for lease, above in ((first, 0), (second, 0)):
            await office.give_back("c", 1, [lease.id])
            assert await rows(office, "SELECT above FROM windows") == [(above,)]
        assert (await leased(office, request(window(limit=500), least=500))).amount == 500
        assert await office.db.read(wrong) == []


async def test_windows_of_one_name_are_apart_by_their_start_and_found_again(tmp_path: Path, clock: ManualClock) -> None:
    async with opened(tmp_path, clock) as office:
        today, tomorrow = window(end=10.0), window(start=10.0, end=20.0)
        await leased(office, request(today, least=900))
        await leased(office, request(tomorrow, least=900))
        assert (await refused(office, request(today, least=200))).free == 100


async def test_each_line_is_told_once_in_its_window_also_after_it_was_opened_again(
    tmp_path: Path, clock: ManualClock
) -> None:
    day = window(limit=1000, warn=500, step_down=700, queue=900)
    async with opened(tmp_path, clock) as office:
        first = await leased(office, request(day, least=499))
        assert (first.crossed, first.step_down, first.queue) == ((), False, False)
        second = await leased(office, request(day, least=201))
        assert second.crossed == (
            Crossed(window="fleet/day", line="warn"), Crossed(window="fleet/day", line="step_down")
        )  # fmt: skip
        assert (second.step_down, second.queue) == (True, False)
    async with opened(tmp_path, clock, epoch=2) as office:
        third = await leased(office, request(day, least=1))
        assert (third.crossed, third.step_down) == ((), True)
        fourth = await leased(office, request(day, least=199))
        assert (fourth.crossed, fourth.queue) == ((Crossed(window="fleet/day", line="queue"),), True)
        other = await leased(office, request(window(start=5.0, warn=10), least=10))
        assert other.crossed == (Crossed(window="fleet/day", line="warn"),)


async def test_lines_look_at_what_is_spent_too(tmp_path: Path, clock: ManualClock) -> None:
    async with opened(tmp_path, clock) as office:
        first = await leased(office, request(window(limit=1000, warn=500), least=10))
        await office.settle("c", 1, [entry(first.id, 500)])
        assert (await leased(office, request(window(limit=1000, warn=500)))).crossed


async def test_what_a_cell_will_not_use_of_a_lease_is_free_for_its_next_one(tmp_path: Path, clock: ManualClock) -> None:
    async with opened(tmp_path, clock) as office:
        first = await leased(office, request(window(limit=1000), least=800))
        back = ((first.id, 300),)
        await refused(office, request(window(limit=1000), least=700, back=back, cell="d"))
        for _ in range(2):  # said twice it is the same
            assert (await leased(office, request(window(limit=1000), least=350, back=back))).amount == 350
        assert await sums(office, "fleet/day") == Sums(0, 1000, 0)
        done = await office.settle("c", 1, [entry(first.id, 300)])
        assert done.over == ()
        assert await sums(office, "fleet/day") == Sums(300, 700, 0)


async def test_a_request_whose_answer_was_lost_is_one_lease_when_it_is_asked_again(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with opened(tmp_path, clock) as office:
        first = await leased(office, request(window(limit=1000), least=600, key="r-1"))
    async with opened(tmp_path, clock) as office:  # it was killed before it could answer
        assert await leased(office, request(window(limit=1000), least=600, key="r-1")) == first
        lines = window("lines", step_down=100, queue=200)
        second = await leased(office, request(lines, least=300, key="r-2"))
        again = await leased(office, request(lines, least=300, key="r-2"))
        assert (again.id, again.step_down, again.queue) == (second.id, True, True)
        await refused(office, request(window(limit=1000), least=600, key="r-1", epoch=2))
        assert await sums(office, "fleet/day") == Sums(0, 600, 0)


async def test_a_refusal_says_whether_what_is_missing_is_spent_or_only_set_aside(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with opened(tmp_path, clock) as office:
        first = await leased(office, request(window(limit=1000), least=800))
        assert (await refused(office, request(window(limit=1000), least=300))).aside
        await office.settle("c", 1, [entry(first.id, 800)])
        assert not (await refused(office, request(window(limit=1000), least=300))).aside


async def test_what_makes_no_sense_is_refused_before_anything_is_written(tmp_path: Path, clock: ManualClock) -> None:
    async with opened(tmp_path, clock) as office:
        for bad in (
            request(least=-1), request(want=10**19), request(window(limit=-1)), request(window(warn=-1)),
            request(window(), window()),
            request(window(end=0.0)), request(window(start=float("nan"))), request(want=1.5),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        ):  # fmt: skip
            with pytest.raises(InvalidLimit):
                await office.lease(bad)
        assert await rows(office, "SELECT * FROM windows") == []


async def test_two_hundred_at_once_get_no_more_than_there_is(tmp_path: Path, clock: ManualClock) -> None:
    got = list[int]()

    async def call(office: OfficeFile) -> None:
        found = await office.lease(request(window(limit=1000), least=30))
        got.append(getattr(found, "amount", 0))

    async with opened(tmp_path, clock) as office, anyio.create_task_group() as tasks:
        for _ in range(200):
            tasks.start_soon(call, office)
    assert len(got) == 200
    assert sum(got) == 33 * 30


async def test_the_file_itself_refuses_more_than_the_limit(tmp_path: Path, clock: ManualClock) -> None:
    async with opened(tmp_path, clock) as office:
        await leased(office, request(window(limit=1000), least=600))
        for change in ("reserved = 1001", "spent = 401", "reserved = -1", "most = 599"):
            sql = f"UPDATE windows SET {change}"  # noqa: S608 - ours
            with pytest.raises(StoreError, match="CHECK"):
                await office.db.write(lambda conn, sql=sql: conn.execute(sql) and None)  # type: ignore[misc]  # of this turn


async def test_the_file_is_its_owners_alone(tmp_path: Path, clock: ManualClock) -> None:
    async with opened(tmp_path, clock, epoch=7) as office:
        assert office.db.path == tmp_path / "office.db"
        assert stat.S_IMODE(office.db.path.stat().st_mode) == 0o600
        with pytest.raises(OwnerConflict):
            async with opened(tmp_path, clock, epoch=8):
                pass
    with pytest.raises(Fenced):
        async with opened(tmp_path, clock, epoch=6):
            pass
    with sqlite3.connect(tmp_path / "office.db") as conn:
        assert conn.execute("SELECT epoch FROM owner").fetchone() == (7,)
    conn.close()


async def test_how_open_budgets_stand_is_told(tmp_path: Path, clock: ManualClock) -> None:
    async with opened(tmp_path, clock) as office:
        windows = (window("a/hour", start=0.0, end=10.0), window("a/day", end=100.0), window("tree/1"))
        first = await leased(office, request(*windows, least=50))
        await leased(office, request(window("tree/2")))
        await office.settle("c", 1, [entry(first.id, 70)])
        open_now = await office.windows(10.0, trees=2)
        assert [stands.name for stands in open_now] == ["a/day", "tree/2", "tree/1"]
        day = open_now[0]
        assert (day.start, day.end, day.limit, day.spent, day.reserved, day.over) == (0.0, 100.0, 1000, 70, 0, 20)
        assert [stands.name for stands in await office.windows(-1.0)] == ["tree/2", "tree/1"]
