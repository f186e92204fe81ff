"""What keeps the ledger of durable work even, switched off one by one: each time one of its checks says so.

In a run at random each of these would be seen sooner or later; here each is brought about, with real processes.
"""

import math
import signal
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path

import anyio
import pytest

from callboard import Client
from callboard.clock import SystemClock
from callboard.store import ActorFile, Fenced, TaskLog

from .durable import left_over
from .durable_daemon import FLEET, Daemon
from .durable_files import read_file
from .durable_ledger import check_effects, check_followed, check_once, effects_of
from .durable_plan import Order
from .durable_sender import enqueue

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(100)]
on_and_off = pytest.mark.parametrize("on", [True, False], ids=["on", "off"])


class House:
    """A fleet of one desk and a clerk."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon, self.go = daemon, daemon.folder / "go"

    async def enqueue(self, order: Order, *, until: str = "") -> None:
        """Enqueue a task, with a connection of its own."""
        async with Client.connect(FLEET, state=self.daemon.state) as client:
            await enqueue(client, order, until=until)

    async def effect(self, name: str) -> None:
        """Wait until a step has had its effect."""
        await self.daemon.wait(lambda: f"{name} " in self.daemon.effects.read_text(encoding="ascii"), name)

    async def committed(self, order: Order) -> None:
        """Wait until a task is done as far as its actor's file is concerned, which is made with the first one."""

        def is_done() -> bool:
            with suppress(sqlite3.OperationalError):
                return order.name in read_file(self.daemon.state, order.actor).inbox
            return False

        await self.daemon.wait(is_done, f"{order.name} to be done")

    async def killed(self, pid: int) -> None:
        """Kill a process and wait until it is gone."""
        self.daemon.harm(pid, signal.SIGKILL)
        await self.daemon.wait(lambda: pid not in self.daemon.look(), f"{pid} to be gone")

    async def at_desk(self) -> int:
        """Return the process in which the first effect was had."""
        return effects_of(self.daemon.effects.read_text(encoding="ascii"))[0].pid

    async def end(self) -> None:
        """Wait until nothing is left to do, and stop."""
        with anyio.fail_after(60.0):
            while await left_over(self.daemon, ("ant", "clerk")):  # noqa: ASYNC110 - asking is what is waited for
                await anyio.sleep(0.05)
        await self.daemon.stop()


@asynccontextmanager
async def house(folder: Path, *, off: str) -> AsyncGenerator[House]:
    daemon = Daemon(folder, desks=("ant",), off=off)
    daemon.spawn()
    try:
        await daemon.ready()
        yield House(daemon)
    finally:
        await daemon.stop()


@on_and_off
async def test_a_task_that_is_stored_a_second_time_is_kept_from_counting_by_the_inbox_and_by_nothing_else(
    tmp_path: Path, on: bool
) -> None:
    order = Order("one", "ant")
    async with house(tmp_path, off="" if on else "inbox") as run:
        await run.enqueue(order)
        await run.committed(order)
        server = run.daemon.server()
        await run.killed(server)  # it knows the ids only of what it still has
        await run.daemon.wait(lambda: run.daemon.server() not in (0, server), "another server")
        await run.enqueue(order)
        await run.end()
        wrong = check_once({"ant": read_file(run.daemon.state, "ant")})
    assert wrong == ([] if on else ["task one of ant counts 2 times"])


@on_and_off
async def test_what_a_done_task_has_said_outlives_its_process_by_the_outbox_and_by_nothing_else(
    tmp_path: Path, on: bool
) -> None:
    order = Order("one", "ant", steps=1, then=1)
    async with house(tmp_path, off="" if on else "outbox") as run:
        await run.enqueue(order, until=str(run.go))
        await run.effect("one/0")
        server = run.daemon.server()
        run.daemon.harm(server, signal.SIGSTOP)
        run.go.touch()
        await run.committed(order)
        await run.killed(await run.at_desk())
        run.daemon.harm(server, signal.SIGKILL)  # what lay unread in its sockets is gone with it
        await run.end()
        files = {actor: read_file(run.daemon.state, actor) for actor in ("ant", "clerk")}
    assert check_followed([order], files) == ([] if on else ["task one.0 was promised by a done task, and is lost"])


@on_and_off
async def test_a_step_that_was_taken_is_not_repeated_after_a_death_by_the_journal_and_by_nothing_else(
    tmp_path: Path, on: bool
) -> None:
    order = Order("one", "ant", steps=2)
    async with house(tmp_path, off="" if on else "journal") as run:
        await run.enqueue(order, until=str(run.go))
        await run.effect("one/1")  # so the journal has the one before
        await run.killed(await run.at_desk())
        run.go.touch()
        await run.end()
        effects = effects_of(run.daemon.effects.read_text(encoding="ascii"))
        files = {"ant": read_file(run.daemon.state, "ant")}
    first = [each for each in effects if each.name == "one/0"]
    assert check_once(files) == []
    assert len(check_effects([order._replace(steps=1)], files, first, [])) == (0 if on else 1)


@on_and_off
async def test_a_process_that_was_replaced_is_kept_from_its_file_by_the_fence_and_by_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on: bool
) -> None:
    def owns(_log: TaskLog, _conn: sqlite3.Connection) -> None:
        """Do nothing: the mechanism is switched off."""

    if not on:
        monkeypatch.setattr(TaskLog, "_check_owner", owns)
    async with ActorFile.open(tmp_path / FLEET, "ant", epoch=1, clock=SystemClock()) as ghost:
        with closing(sqlite3.connect(ghost.db.path)) as successor, successor:  # on a disk whose locks do not hold
            successor.execute("UPDATE owner SET epoch = 2")
        layer = ghost.layer()
        await layer.incr("did-one", ttl=math.inf)
        if on:
            with pytest.raises(Fenced):
                await ghost.tasks.commit("one", layer, [])
        else:
            await ghost.tasks.commit("one", layer, [])
    found = read_file(tmp_path, "ant")
    assert (found.inbox, dict(found.memory)) == ((frozenset(), {}) if on else (frozenset({"one"}), {"did-one": 1}))
