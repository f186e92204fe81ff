"""What the office does not take keeps nothing else from it, and no money is free again that was spent."""

from collections.abc import AsyncGenerator

import anyio
import msgspec
import pytest
from anyio.abc import TaskGroup

from callboard.actors import HandlerFailed, PermissionDenied
from callboard.actors.llm import OfficeAway
from callboard.actors.llm.reporter import ANSWERS_MOST, WAITING_MOST, Reporter
from callboard.actors.office import Report
from callboard.clock import SystemClock
from callboard.store.office import Cached, Entry

pytestmark = pytest.mark.anyio
BAD = "bad"


class Desk:
    """Takes reports; some it does not."""

    def __init__(self, error: Exception, *, all_of_them: bool = False) -> None:
        self.error, self.all_of_them = error, all_of_them
        self.tries = 0
        self.told, self.back = set[str](), set[int]()
        self.refused = list[str]()
        self.answers = 0
        self.mended = False

    async def take(self, report: Report) -> None:
        await anyio.lowlevel.checkpoint()
        self.tries += 1
        if not self.mended and (self.all_of_them or any(entry.id == BAD for entry in report.entries)):
            raise self.error
        self.told |= {entry.id for entry in report.entries}
        self.back |= set(report.back)
        self.answers += len(report.answers)


def entry(id: str, lease: int) -> Entry:  # noqa: A002 - of an entry
    return Entry(id=id, at=0.0, actor="a", lease=lease, cost=5, worst=10)


@pytest.fixture
async def tasks() -> AsyncGenerator[TaskGroup]:
    async with anyio.create_task_group() as owned:
        yield owned
        owned.cancel_scope.cancel()


def reporter(desk: Desk, tasks: TaskGroup) -> Reporter:
    """Return one that has told of a hundred calls, of which the office does not take one, and gives its leases back."""
    leases = list(range(1, 101))
    made = Reporter(
        desk.take, epoch=1, clock=SystemClock(), idle=lambda: [leases.pop() for _ in range(len(leases))],
        refused=desk.refused.append,
    )  # fmt: skip
    for at in range(1, 101):
        made.put(entry(BAD if at == 40 else f"e{at}", at))
    tasks.start_soon(made.run)
    return made


async def until_back(desk: Desk, count: int) -> None:
    with anyio.fail_after(20.0):
        while len(desk.back) < count:
            await anyio.lowlevel.checkpoint()


@pytest.mark.parametrize("error", [HandlerFailed("ours"), PermissionDenied("never")], ids=lambda e: e.code)
async def test_one_call_that_is_not_taken_keeps_no_other_and_its_lease_does_not_go_back(
    tasks: TaskGroup, error: Exception
) -> None:
    desk = Desk(error)
    told = reporter(desk, tasks)
    with anyio.fail_after(10.0):
        await told.flushed()
    await until_back(desk, 99)
    assert len(desk.told) == 99
    assert 40 not in desk.back
    assert bool(desk.refused) == isinstance(error, PermissionDenied)


async def test_what_the_office_failed_to_take_is_told_when_it_can(tasks: TaskGroup) -> None:
    desk = Desk(HandlerFailed("ours"))
    await reporter(desk, tasks).flushed()
    desk.mended = True
    await until_back(desk, 100)
    assert BAD in desk.told


async def test_nothing_is_lost_while_the_office_is_away(tasks: TaskGroup) -> None:
    desk = Desk(OfficeAway("its disk is full"), all_of_them=True)
    told = reporter(desk, tasks)
    with anyio.fail_after(20.0):
        while desk.tries < 3:
            await anyio.lowlevel.checkpoint()
    assert desk.told == set()
    desk.mended = True
    with anyio.fail_after(20.0):
        await told.flushed()
    assert len(desk.told) == 100
    assert desk.refused == []


async def test_one_call_that_the_office_can_never_write_keeps_no_other(tasks: TaskGroup) -> None:
    desk = Desk(OfficeAway("it cannot be written"))
    reporter(desk, tasks)
    with anyio.fail_after(20.0):
        while len(desk.told) < 99:
            await anyio.lowlevel.checkpoint()


async def test_what_waits_for_the_office_has_a_bound_in_calls_and_in_bytes(tasks: TaskGroup) -> None:
    desk = Desk(OfficeAway("it is held"), all_of_them=True)
    told = Reporter(
        desk.take, epoch=1, clock=SystemClock(), idle=list, refused=desk.refused.append
    )  # fmt: skip
    body = b"x" * (256 * 1024)
    for at in range(WAITING_MOST):
        answer = Cached(key=b"%d" % at, actor="a", tenant="", body=body, made=0.0, expires=1e12)
        told.put(entry(f"e{at}", 0), answer)
    for at in range(100):
        told.put(msgspec.structs.replace(entry(f"h{at}", 0), cache="hit"))
    assert len(desk.refused) == 1
    with pytest.raises(OfficeAway, match="more is to be written"):
        await told.room(within=0.01)
    desk.mended = True
    tasks.start_soon(told.run)
    with anyio.fail_after(30.0):
        await told.flushed()
        await told.room(within=1.0)
    assert desk.told == {f"e{at}" for at in range(WAITING_MOST)}
    assert desk.answers == ANSWERS_MOST // len(body)
