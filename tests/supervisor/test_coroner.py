"""What a death is held against: the message in hand, unless somebody outside killed, or it is too large to be kept."""

from pathlib import Path

import msgspec
import pytest

from callboard.actors import CRASHES_MOST, FlightRecorder, Letter, flight
from callboard.actors.flight import KEPT_MOST
from callboard.bus import VERSION, Endpoint, Envelope, Kind, MemoryBroker, encode
from callboard.clock import SystemClock
from callboard.ids import new_id
from callboard.supervisor.coroner import Coroner
from callboard.supervisor.incarnation import End
from callboard.supervisor.records import open_records


async def test_an_autopsy_says_what_its_flight_record_had_no_room_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SystemClock()
    async with (
        open_records(tmp_path / "daemon.db", clock=clock) as records,
        MemoryBroker().bus() as bus,
        Endpoint(bus, fleet="shop", cell="daemon", clock=clock) as endpoint,
    ):
        coroner = Coroner("desk", endpoint=endpoint, records=records, folder=tmp_path, clock=clock)
        recorder = FlightRecorder(coroner.flight, epoch=1)
        monkeypatch.setattr(flight, "_reserve", lambda *_: False)  # a full disk
        for _ in range(3):
            assert (
                recorder.letter("desk", Letter(Envelope(VERSION, Kind.TELL, "Note", 0, new_id(), ""), "x", 1, 1)) == 0
            )
        found = await coroner.examine(End(pid=7, code=3, how="crashed", why="a test"), epoch=1, blame=True)
        assert found.unwritten == 3
        assert "of 3 messages nothing is known" in found.story()


@pytest.mark.parametrize(
    ("code", "verdict", "size", "blamed"),
    [
        (3, "crashed", 10, True),
        (-11, "crashed", 10, True),
        (-9, "silent", 10, True),
        (-9, "crashed", 10, False),
        (-15, "crashed", 10, False),
        (3, "crashed", KEPT_MOST + 1, False),
    ],
)
async def test_three_deaths_with_one_content_in_hand_confine_it_or_not(
    tmp_path: Path, code: int, verdict: str, size: int, blamed: bool
) -> None:
    clock, body = SystemClock(), msgspec.Raw(encode("x" * size))
    async with (
        open_records(tmp_path / "daemon.db", clock=clock) as records,
        MemoryBroker().bus() as bus,
        Endpoint(bus, fleet="shop", cell="daemon", clock=clock) as endpoint,
    ):
        coroner = Coroner("desk", endpoint=endpoint, records=records, folder=tmp_path, clock=clock)
        for epoch in range(1, CRASHES_MOST + 1):
            recorder = FlightRecorder(coroner.flight, epoch=epoch)
            told = Envelope(VERSION, Kind.TELL, "Note", 0, new_id(), "front", body=body)
            recorder.taken(recorder.letter("desk", Letter(told, "front", 1, size)))
            end = End(pid=7, code=code, how="crashed", verdict=verdict, why="a test")
            found = await coroner.examine(end, epoch=epoch, blame=True)
            assert [item.id for item in found.in_hand()] == [told.id]
            recorder.close()
        assert bool(records.confined_of("desk")) == blamed
        assert len(await records.quarantine.all()) == blamed
