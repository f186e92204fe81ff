"""What fails for a while is called again, and said once; what lasts is raised."""

import pytest

from callboard.actors import PermissionDenied
from callboard.actors.patience import PAUSE, Patience
from callboard.bus import BusClosed, NotStored, QueueFull
from callboard.errors import CallboardError
from callboard.store import DatabaseCorrupt, DatabaseLocked, DiskFull, Fenced
from callboard.testing import ManualClock


class Said:
    """Keeps what was reported."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def report(self, kind: str, subject: str, text: str, **detail: str | int | float | bool | None) -> None:
        self.texts.append(f"{kind} {subject}: {text}")


class Disk:
    """Fails as it is told to, in this order, and then works."""

    def __init__(self, *errors: CallboardError) -> None:
        self.errors = list(errors)

    async def write(self) -> str:
        if self.errors:
            raise self.errors.pop(0)
        return "written"


class Hurry(ManualClock):
    """Everybody's time has come at once; counts how long they would have waited."""

    slept = 0.0

    async def sleep(self, seconds: float) -> None:
        self.slept += seconds


def patience() -> tuple[Patience, Said, Hurry]:
    said, clock = Said(), Hurry()
    return Patience("outbox-waits", "desk", clock=clock, reporter=said), said, clock


async def test_what_fails_for_a_while_is_called_until_it_works_and_each_trouble_is_said_once() -> None:
    patient, said, clock = patience()
    disk = Disk(*[DiskFull("full")] * 3, *[DatabaseLocked("locked")] * 2)
    assert await patient.until_done("a word", disk.write) == "written"
    assert said.texts == ["outbox-waits desk: a word waits: full", "outbox-waits desk: a word waits: locked"]
    assert clock.slept == 5 * PAUSE


async def test_a_trouble_is_over_when_a_call_works_at_once() -> None:
    patient, said, _ = patience()
    for number in range(3):  # there is room for one at a time
        await patient.until_done(f"task {number}", Disk(QueueFull("full")).write)
    assert said.texts == ["outbox-waits desk: task 0 waits: full"]
    await patient.until_done("task 4", Disk().write)
    await patient.until_done("task 5", Disk(QueueFull("full")).write)
    assert said.texts[1:] == ["outbox-waits desk: task 5 waits: full"]


@pytest.mark.parametrize(
    "error", [Fenced("x"), DatabaseCorrupt("x"), BusClosed("x"), PermissionDenied("x")], ids=lambda error: error.code
)
async def test_what_will_not_pass_by_itself_is_raised(error: CallboardError) -> None:
    patient, said, _ = patience()
    with pytest.raises(type(error)):
        await patient.until_done("a word", Disk(NotStored("once"), error).write)
    assert len(said.texts) == 1
