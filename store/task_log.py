"""What an actor's file knows of its durable work: what is done, what failed, which steps were taken, what is to leave.

The idea is the transactional inbox and outbox: a task's id, its changes and its messages are committed together or not
at all, so a delivery that comes again changes nothing, and what was promised to others leaves even if the process dies.
"""

import sqlite3
from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from callboard.clock import Clock

from .database import Database
from .errors import Fenced, TaskDone
from .memory_layer import MemoryLayer

HISTORY_MOST: Final = 20
"""Failures of a task that are kept in words; more are only counted."""
SWEEP: Final = 1000
Verb = Literal["tell", "enqueue", "publish", "remember", "outcome"]


class Step(msgspec.Struct, frozen=True):
    """A step that was taken: a digest of its arguments, and its result; None if it was claimed and never settled."""

    act: bool
    args: str
    result: bytes | None


class TakenStep(msgspec.Struct, frozen=True, kw_only=True):
    """A step of a task that is not done, without its result."""

    task: str
    name: str
    act: bool
    settled: bool
    """Whether its result is kept; an act that is not settled may have been done."""
    bytes: int
    at: float
    """Unix seconds."""


class Known(msgspec.Struct, frozen=True):
    """What is known of a task before it begins."""

    done: bool = False
    tries: int = 0
    steps: dict[str, Step] = {}


class Outgoing(msgspec.Struct, frozen=True):
    """One message that leaves after the commit."""

    verb: Verb
    target: str
    """An actor's name for ``tell``, else a subject."""
    id: str
    data: bytes
    task: str = ""
    number: int = 0
    """Its place in the outbox, once it is there."""
    claimed: float = 0.0
    """When it was about to leave (Unix seconds), if it leaves at most once."""

    @property
    def at_most_once(self) -> bool:
        """Whether it is never said twice: who hears it could not know it again."""
        return self.verb in ("tell", "publish")


class TaskLog:
    """For one actor's file, owned by one incarnation; all others of an older one are refused."""

    def __init__(self, db: Database, *, epoch: int, clock: Clock) -> None:
        self._db, self._epoch, self._clock = db, epoch, clock

    async def known(self, task: str) -> Known:
        """Return what is known of a task; raises Fenced: who is replaced shall not even begin it."""

        def look(conn: sqlite3.Connection) -> Known:
            self._check_owner(conn)
            return _known(conn, task)

        return await self._db.read(look)

    async def commit(self, task: str, memory: MemoryLayer, outgoing: Sequence[Outgoing]) -> None:
        """Make all that a task has done durable, in one transaction.

        Raises:
            TaskDone: it was done before: what it did now must not count.
            MemoryConflict: what it read of memory was changed by another: do it again.
            Fenced: a later incarnation owns the file.
            StoreError, ValueTooLarge: nothing of it was kept.

        """
        now = self._clock.now()
        rows = [(task, each.verb, each.target, each.id, each.data) for each in outgoing]
        await memory.ready()

        def change(conn: sqlite3.Connection) -> None:
            self._check_owner(conn)
            if conn.execute("INSERT OR IGNORE INTO inbox (task, done) VALUES (?, ?)", (task, now)).rowcount == 0:
                raise TaskDone(f"task {task} is done already", task=task)
            memory.apply(conn)
            conn.execute("DELETE FROM steps WHERE task = ?", (task,))
            conn.execute("DELETE FROM tries WHERE task = ?", (task,))
            conn.executemany("INSERT INTO outbox (task, verb, target, id, data) VALUES (?, ?, ?, ?, ?)", rows)

        await self._db.write(change, committed=lambda _: memory.committed())

    async def failed(self, task: str, why: str) -> tuple[int, list[str]]:
        """Count a failure; return how many there are now, and what was said of the latest."""
        now = self._clock.now()

        def change(conn: sqlite3.Connection) -> tuple[int, list[str]]:
            self._check_owner(conn)
            row = conn.execute("SELECT count, history FROM tries WHERE task = ?", (task,)).fetchone()
            count, history = (row[0], msgspec.json.decode(row[1], type=list[str])) if row else (0, [])
            history = [*history, why][-HISTORY_MOST:]
            text = msgspec.json.encode(history).decode()
            conn.execute("INSERT OR REPLACE INTO tries VALUES (?, ?, ?, ?)", (task, count + 1, text, now))
            return count + 1, history

        return await self._db.write(change)

    async def forget(self, task: str) -> None:
        """Keep nothing of a task that was taken away: its steps and its failures."""

        def change(conn: sqlite3.Connection) -> None:
            self._check_owner(conn)
            conn.execute("DELETE FROM steps WHERE task = ?", (task,))
            conn.execute("DELETE FROM tries WHERE task = ?", (task,))

        await self._db.write(change)

    async def step(self, task: str, name: str, step: Step) -> None:
        """Keep a step's result, or the claim of an act."""
        now = self._clock.now()

        def change(conn: sqlite3.Connection) -> None:
            self._check_owner(conn)
            values = (task, name, step.act, step.args, step.result, now)
            conn.execute("INSERT OR REPLACE INTO steps VALUES (?, ?, ?, ?, ?, ?)", values)

        await self._db.write(change)

    async def unclaim(self, task: str, name: str) -> None:
        """Forget the claim of an act that was not done."""

        def change(conn: sqlite3.Connection) -> None:
            self._check_owner(conn)
            conn.execute("DELETE FROM steps WHERE task = ? AND name = ? AND result IS NULL", (task, name))

        await self._db.write(change)

    async def taken(self) -> list[TakenStep]:
        """Return the steps of all tasks that are not done, the oldest first."""
        sql = "SELECT task, name, act, result IS NOT NULL, coalesce(length(result), 0), at FROM steps ORDER BY at"
        rows = await self._db.read(lambda conn: conn.execute(sql).fetchall())
        return [
            TakenStep(task=task, name=name, act=bool(act), settled=bool(settled), bytes=size, at=at)
            for task, name, act, settled, size, at in rows
        ]

    async def leaving(self) -> int:
        """Return how many messages have not left."""
        return int(await self._db.read(lambda conn: conn.execute("SELECT count(*) FROM outbox").fetchone()[0]))

    async def outbox(self, *, limit: int) -> list[Outgoing]:
        """Return the first messages that have not left, in order."""
        sql = "SELECT verb, target, id, data, task, number, coalesce(claimed, 0.0) FROM outbox ORDER BY number LIMIT ?"
        rows = await self._db.read(lambda conn: conn.execute(sql, (limit,)).fetchall())
        return [Outgoing(*row) for row in rows]

    async def claim(self, numbers: Sequence[int]) -> None:
        """Note that messages that leave at most once are about to."""
        now = self._clock.now()

        def change(conn: sqlite3.Connection) -> None:
            self._check_owner(conn)
            conn.executemany("UPDATE outbox SET claimed = ? WHERE number = ?", [(now, each) for each in numbers])

        await self._db.write(change)

    async def left(self, numbers: Sequence[int]) -> None:
        """Note that messages have left."""

        def change(conn: sqlite3.Connection) -> None:
            self._check_owner(conn)
            conn.executemany("DELETE FROM outbox WHERE number = ?", [(each,) for each in numbers])

        await self._db.write(change)

    async def sweep(self, before: float, *, limit: int = SWEEP) -> int:
        """Forget up to `limit` tasks that were done before a moment (Unix seconds); return how many.

        And what is left of tasks that were taken away by a process that died before it could forget them. But no act:
        its task may still be queued, however old, and would do it a second time.
        """

        def change(conn: sqlite3.Connection) -> int:
            self._check_owner(conn)
            conn.execute("DELETE FROM tries WHERE latest < ?", (before,))
            conn.execute("DELETE FROM steps WHERE at < ? AND NOT act", (before,))
            sql = "DELETE FROM inbox WHERE task IN (SELECT task FROM inbox WHERE done < ? ORDER BY done LIMIT ?)"
            return conn.execute(sql, (before, limit)).rowcount

        return await self._db.write(change)

    def _check_owner(self, conn: sqlite3.Connection) -> None:
        [(stored,)] = conn.execute("SELECT epoch FROM owner").fetchall()
        if stored != self._epoch:
            raise Fenced(
                f"{self._db.path} is owned by epoch {stored}: epoch {self._epoch} is over and must end",
                path=str(self._db.path), epoch=self._epoch, stored=int(stored),
            )  # fmt: skip


def _known(conn: sqlite3.Connection, task: str) -> Known:
    if conn.execute("SELECT 1 FROM inbox WHERE task = ?", (task,)).fetchone():
        return Known(done=True)
    tries = conn.execute("SELECT count FROM tries WHERE task = ?", (task,)).fetchone()
    rows = conn.execute("SELECT name, act, args, result FROM steps WHERE task = ?", (task,)).fetchall()
    steps = {name: Step(bool(act), args, result) for name, act, args, result in rows}
    return Known(tries=tries[0] if tries else 0, steps=steps)
