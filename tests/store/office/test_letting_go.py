"""What is too old goes in portions; whom somebody asked to forget is nowhere in the file."""

import json
from pathlib import Path

import pytest

from callboard.store import InvalidLimit
from callboard.store.office import Cached, sweeping

from ...manual_clock import ManualClock
from .purse import entry, leased, opened, request, rows, sums, window

pytestmark = pytest.mark.anyio
DAY = 86400.0


async def test_the_ledger_goes_back_as_far_as_it_is_to(tmp_path: Path, clock: ManualClock) -> None:
    async with opened(tmp_path, clock, keep=10 * DAY) as office:
        now = clock.now()
        await office.settle("c", 1, [entry(at=now - 10 * DAY - 1) for _ in range(1100)] + [entry(at=now - 10 * DAY)])
        assert (await office.sweep()).entries == 1100
        assert len(await rows(office, "SELECT * FROM ledger")) == 1


async def test_a_clock_that_jumps_ahead_costs_no_entry(tmp_path: Path, clock: ManualClock) -> None:
    async with opened(tmp_path, clock, keep=10 * DAY) as office:
        await office.settle("c", 1, [entry(at=clock.now())])
        clock.jump(1000 * DAY)
        assert (await office.sweep()).entries == 0
        await clock.advance(11 * DAY)
        assert (await office.sweep()).entries == 1


async def test_closed_leases_and_old_windows_go_but_for_the_newest(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "_LEASES", sweeping._LEASES.replace(str(sweeping.NEWEST), "2"))
    monkeypatch.setattr(sweeping, "_WINDOWS", sweeping._WINDOWS.replace(str(sweeping.NEWEST), "2"))
    async with opened(tmp_path, clock, keep=10 * DAY) as office:
        made = [await leased(office, request(window(f"tree/{at}"), least=10)) for at in range(6)]
        await office.give_back("c", 1, [each.id for each in made[1:]])
        await clock.advance(7 * DAY + 1)
        gone = await office.sweep()
        assert (gone.leases, gone.windows) == (3, 0)
        assert await rows(office, "SELECT id FROM leases") == [(made[at].id,) for at in (0, 4, 5)]
        assert len(await rows(office, "SELECT * FROM shares")) == 3
        await leased(office, request(window("tree/1")))
        await clock.advance(3 * DAY)
        assert (await office.sweep()).windows == 2, "not those that are used, or reserved in"
        left = await rows(office, "SELECT name FROM windows")
        assert sorted(left) == [("tree/0",), ("tree/1",), ("tree/4",), ("tree/5",)]


def in_files(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


async def test_whom_to_forget_is_in_no_answer_and_no_id_of_the_file(tmp_path: Path, clock: ManualClock) -> None:
    name = 'Zoë "Z" Quux'
    async with opened(tmp_path, clock) as office:
        for key, body in ((b"1", name), (b"2", json.dumps([name])), (b"3", json.dumps([name], ensure_ascii=False))):
            await office.put_cached(Cached(key=key, actor="a", body=f"Dear {body}".encode(), made=0.0, expires=1e12))
        await office.put_cached(Cached(key=b"4", actor="a", body=b"Dear Bob", made=0.0, expires=1e12))
        money = await leased(office, request(window(), least=100))
        calls = (
            entry(money.id, 10, raw=json.dumps({"to": name}), how="wrong"), entry(money.id, 20, message=f"mail/{name}"),
            entry(tree=name, tenant=name, message="kept"), entry(raw="Bob", how="wrong"), entry(id=f"of {name}"),
        )  # fmt: skip
        await office.settle("c", 1, calls)
        done = await office.forget(name)
        assert (done.bodies, done.answers, done.ids) == (3, 1, 3)
        assert (done.left, done.log) == ({}, "log emptied")
        data = in_files(tmp_path)
        for written in (name, json.dumps(name)[1:-1], json.dumps(name, ensure_ascii=False)[1:-1]):
            assert written.encode() not in data
        assert b"Dear Bob" in data
        assert (await sums(office)).spent == 30
        assert sorted(await rows(office, "SELECT message, raw FROM ledger")) == [
            ("", ""), ("", ""), ("", ""), ("", "Bob"), ("kept", "")
        ]  # fmt: skip


async def test_one_actor_forgets_alone_and_what_is_left_is_told(tmp_path: Path, clock: ManualClock) -> None:
    async with opened(tmp_path, clock) as office:
        for actor in ("a", "b"):
            await office.put_cached(Cached(key=actor.encode(), actor=actor, body=b"Dear Ann", made=0.0, expires=1e12))
        await leased(office, request(window("tree/Ann")))
        await office.settle("c", 1, [entry(actor="b", message="to Ann")])
        done = await office.forget("Ann", "a")
        assert (done.bodies, done.answers, done.ids) == (1, 0, 0)
        assert done.left == {"cache": 1, "ledger": 1, "windows": 1}
        with pytest.raises(InvalidLimit):
            await office.forget(" ")
