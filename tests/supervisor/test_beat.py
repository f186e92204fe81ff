"""The beat that people see: the rows that changed, and nothing of who is idle."""

import pytest

from callboard import Actor, Context, Message, receive
from callboard.bus import MessageRefused, subjects
from callboard.supervisor import beat
from callboard.supervisor.beat import Beat, beat_in
from callboard.testing import Stage


class Note(Message):
    pass


class Desk(Actor):
    @receive
    async def note(self, message: Note, ctx: Context) -> None: ...


class Idle(Actor):
    @receive
    async def note(self, message: Note, ctx: Context) -> None: ...


async def test_a_beat_brings_the_rows_that_changed_since_the_one_before() -> None:
    beats: list[Beat] = []
    async with Stage([Desk, Idle]) as stage:
        bus = stage.buses["stage-caller"]
        await bus.subscribe(
            subjects.system("stage", "beat"), lambda _subject, data, _reply: beats.append(beat_in(data))
        )
        await stage.wait_until(lambda: len(beats) == 1, within=3.0)
        await stage.tell(Desk, Note())
        await stage.wait_until(lambda: len(beats) == 2, within=3.0)
    first, second = beats[:2]
    assert {row.actor for row in first.rows} == {"desk", "idle"}
    assert [(row.actor, row.handled) for row in second.rows] == [("desk", 1)]
    assert (first.cell, first.epoch) == ("main", 1)
    assert first.lag < 1.0


async def test_the_rows_of_many_actors_travel_in_several_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    """All in one would not pass a server, and so never arrive."""
    monkeypatch.setattr(beat, "ROWS_MOST", 1)
    beats: list[Beat] = []
    async with Stage([Desk, Idle]) as stage:
        bus = stage.buses["stage-caller"]
        await bus.subscribe(
            subjects.system("stage", "beat"), lambda _subject, data, _reply: beats.append(beat_in(data))
        )
        await stage.wait_until(lambda: len(beats) == 2, within=3.0)
    assert [[row.actor for row in each.rows] for each in beats[:2]] == [["desk"], ["idle"]]


async def test_a_beat_that_could_not_be_sent_is_made_good_by_the_next() -> None:
    beats: list[Beat] = []
    async with Stage([Desk]) as stage:
        bus = stage.buses["stage-caller"]
        await bus.subscribe(
            subjects.system("stage", "beat"), lambda _subject, data, _reply: beats.append(beat_in(data))
        )
        await stage.wait_until(lambda: bool(beats), within=3.0)
        stage.disconnect("main")
        await stage.wait_until(lambda: stage.cells["main"].beats.missed == 1, within=3.0)
        stage.reconnect("main")
        count = len(beats)
        await stage.wait_until(lambda: len(beats) > count, within=3.0)
    assert [row.actor for row in beats[-1].rows] == ["desk"]


def test_a_beat_that_is_none_is_refused() -> None:
    with pytest.raises(MessageRefused):
        beat_in(b"\x00")
