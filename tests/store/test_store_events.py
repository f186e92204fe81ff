"""The event log: in order, bounded, safe to print."""

import sqlite3
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from callboard.store import DAEMON, Database, Event, Events, InvalidLimit, ValueTooLarge, WrongValueType


class ManualClock:
    """Stands still until the test moves it."""

    def __init__(self) -> None:
        self.time = 1_000_000.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds
        await anyio.lowlevel.checkpoint()


def execute(sql: str, *values: object) -> Callable[[sqlite3.Connection], None]:
    """Return a function for the database that runs one statement."""

    def run(conn: sqlite3.Connection) -> None:
        conn.execute(sql, values)

    return run


@pytest.fixture
async def db(tmp_path: Path) -> AsyncGenerator[Database, None]:
    async with Database.open(tmp_path / "daemon.db", migrations=DAEMON) as db:
        yield db


async def test_an_event_comes_back_as_it_was_stored(db: Database) -> None:
    clock = ManualClock()
    events = Events(db, clock=clock)
    clock.time = 123.5
    stored = await events.append("cell-exited", "triage", "exit 1", {"pid": 7, "core": False, "why": None, "s": 0.5})
    assert stored == Event(
        seq=1,
        at=123.5,
        kind="cell-exited",
        subject="triage",
        text="exit 1",
        detail={"pid": 7, "core": False, "why": None, "s": 0.5},
    )
    assert await events.latest(10) == [stored]
    assert await events.after(0, 10) == [stored]


async def test_events_are_read_by_kind_subject_and_number(db: Database) -> None:
    events = Events(db, clock=ManualClock())
    for n in range(6):
        await events.append("even" if n % 2 == 0 else "odd", f"cell-{n % 3}", f"{n}")
    assert [event.text for event in await events.latest(2)] == ["5", "4"]
    assert [event.text for event in await events.latest(9, kind="odd")] == ["5", "3", "1"]
    assert [event.text for event in await events.latest(9, subject="cell-0")] == ["3", "0"]
    assert [event.text for event in await events.latest(9, kind="even", subject="cell-0")] == ["0"]
    assert [event.text for event in await events.after(2, 3)] == ["2", "3", "4"]
    assert await events.after(6, 3) == []


async def test_only_the_newest_are_kept_and_numbers_are_not_given_twice(db: Database) -> None:
    events = Events(db, clock=ManualClock(), keep=10)
    for n in range(35):
        await events.append("kind", "subject", f"{n}")
    kept = await events.after(0, 100)
    assert [event.seq for event in kept] == list(range(26, 36))
    await db.write(execute("DELETE FROM event"))
    assert (await events.append("kind", "subject", "later")).seq == 36


async def test_a_log_that_is_too_long_shrinks_in_small_portions(db: Database) -> None:
    long, short = Events(db, clock=ManualClock()), Events(db, clock=ManualClock(), keep=10)
    for _ in range(200):
        await long.append("kind", "subject", "text")
    await short.append("kind", "subject", "text")
    assert 100 < len(await long.after(0, 1000)) < 200
    for _ in range(4):
        await short.append("kind", "subject", "text")
    assert len(await long.after(0, 1000)) == 10


async def test_events_of_many_tasks_have_numbers_without_a_gap(db: Database) -> None:
    events = Events(db, clock=ManualClock())
    async with anyio.create_task_group() as tasks:
        for n in range(64):
            tasks.start_soon(events.append, "kind", "subject", f"{n}")
    assert [event.seq for event in await events.after(0, 100)] == list(range(1, 65))


async def test_text_becomes_one_bounded_printable_line(db: Database) -> None:
    events = Events(db, clock=ManualClock())
    forged = await events.append("kind", "subject", "fine\n2026 daemon: all approved\x1b[2J\u202e")
    assert forged.text == "fine 2026 daemon: all approved [2J "
    long = await events.append("kind", "subject", "x" * 5000)
    assert len(long.text) == 2000
    assert long.text.endswith("x…")


@pytest.mark.parametrize("detail", [{"a": [1]}, {"a": {"b": 1}}, {1: "a"}, {"a": "\ud800"}, {"a": object()}], ids=repr)
async def test_a_detail_that_is_not_flat_is_refused(db: Database, detail: Any) -> None:
    with pytest.raises(WrongValueType, match="'kind' must be flat"):
        await Events(db, clock=ManualClock()).append("kind", "subject", "text", detail)


async def test_a_detail_that_is_too_large_is_refused(db: Database) -> None:
    with pytest.raises(ValueTooLarge, match="65536"):
        await Events(db, clock=ManualClock()).append("kind", "subject", "text", {"a": "x" * 70_000})


async def test_limits_are_checked(db: Database) -> None:
    with pytest.raises(InvalidLimit):
        Events(db, clock=ManualClock(), keep=0)
    for call in (Events(db, clock=ManualClock()).latest(0), Events(db, clock=ManualClock()).after(0, -1)):
        with pytest.raises(InvalidLimit):
            await call
