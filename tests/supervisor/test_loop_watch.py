"""In a fleet of one process a blocked loop is seen from beside: said at once, recorded when it turns again."""

import logging
import time

import pytest

from callboard import Actor, Context, Fleet, Message, receive
from callboard.actors import ActorSpec, Health
from callboard.supervisor.messages import ListEvents

from .waiting import wait_until


class Spin(Message):
    seconds: float


def spins(seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


class Spinner(Actor):
    @receive
    async def spin(self, message: Spin, ctx: Context) -> None:
        spins(message.seconds)


async def test_a_blocked_loop_is_named_by_file_and_line(caplog: pytest.LogCaptureFixture) -> None:
    health = Health(silent_after=1.0)
    spec = ActorSpec(actor=Spinner, name="spinner", cell="main", health=health)
    events: list[str] = []
    async with Fleet("shop", [spec]) as fleet:
        fleet.records.listeners.append(lambda event: events.append(f"{event.kind}: {event.text}"))
        with caplog.at_level(logging.WARNING, logger="callboard.supervisor"):
            await fleet.ask(Spinner.spin, Spin(seconds=1.8), timeout=10.0)
        await wait_until(lambda: bool(events))
        await fleet.ask(Spinner.spin, Spin(seconds=0.3), timeout=10.0)
        stored = await fleet.records.list(ListEvents(kind="loop-blocked"))
    [event] = events
    assert event.startswith("loop-blocked: its loop did not turn for 1.")
    assert event.endswith(" in spins")
    assert "test_loop_watch.py" in event
    assert " in spin\n" in str(stored.events[0].detail["stack"])
    assert "the event loop is blocked at" in caplog.text
