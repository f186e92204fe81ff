"""Any sequence of verbs, of openings, and of jumps of the clock gives what a plain model gives."""

import math
import tempfile
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from callboard.store.office import Entry, Leased, OfficeFile, Refused, Window

from ...manual_clock import ManualClock
from .purse import entry, opened, request, rows, wrong

T = TypeVar("T")
HOUR = 3600.0
_AMOUNTS = st.integers(0, 60) | st.integers(0, 2000)
_CELLS = st.sampled_from(["c", "d"])
_BUDGETS: tuple[str, ...] = ("fleet/hour", "actor/a/day", "tree/1")
_NAMES = st.sampled_from([(), *((name,) for name in _BUDGETS), _BUDGETS[:2], _BUDGETS])
_LINES = ("warn", "step_down", "queue")


class Purse(msgspec.Struct):
    """A window as the model has it."""

    limit: int
    end: float
    spent: int = 0
    reserved: int = 0
    beyond: int = 0
    told: set[str] = set()


class Held(msgspec.Struct):
    """A lease as the model has it."""

    cell: str
    epoch: int
    purses: list[Purse]
    rest: int
    until: float
    made: float
    lost: int = 0


def left_of(window: Window, purse: Purse, *, urgent: bool) -> int:
    most = window.limit if urgent or not window.queue else min(window.limit, window.queue - 1)
    return most - purse.spent - purse.reserved


class Office(RuleBasedStateMachine):
    """A real file beside its model."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        self.portal = self.stack.enter_context(start_blocking_portal("asyncio"))
        self.clock = ManualClock()
        self.epoch = 0
        self.lives = {"c": 1, "d": 1}
        self.limits = dict.fromkeys(_BUDGETS, 1000)
        self.purses = dict[tuple[str, float], Purse]()
        self.held = dict[int, Held]()
        self.told = list[tuple[str, Entry]]()
        self.open()

    def open(self) -> None:
        self.epoch += 1
        self.inner = ExitStack()
        made = self.call(lambda: opened(self.folder, self.clock, epoch=self.epoch, keep=1e12))
        self.office: OfficeFile = self.inner.enter_context(self.portal.wrap_async_context_manager(made))

    def call(self, fn: Callable[[], T]) -> T:
        async def called() -> T:
            return fn()

        return self.portal.call(called)

    def run(self, fn: Callable[..., Coroutine[Any, Any, T]], *args: Any, **more: Any) -> T:
        async def called() -> T:
            return await fn(*args, **more)

        return self.portal.call(called)

    def teardown(self) -> None:
        self.inner.close()
        self.stack.close()

    def window(self, name: str) -> Window:
        limit, now = self.limits[name], self.clock.now()
        length = {"fleet/hour": HOUR, "actor/a/day": 24 * HOUR, "tree/1": math.inf}[name]
        start = 0.0 if length == math.inf else now // length * length
        lines = {line: limit * part // 10 for line, part in zip(_LINES, (5, 7, 9), strict=True)}
        return Window(name=name, start=start, end=start + length, limit=limit, **lines)

    @rule(names=_NAMES, cell=_CELLS, least=_AMOUNTS, want=_AMOUNTS, urgent=st.booleans())
    def lease(self, names: tuple[str, ...], cell: str, least: int, want: int, urgent: bool) -> None:
        self.request(names, cell, least, want, urgent=urgent)

    @rule(names=_NAMES.filter(bool), cell=_CELLS, beyond=st.integers(-1, 1), want=_AMOUNTS)
    def lease_the_last(self, names: tuple[str, ...], cell: str, beyond: int, want: int) -> None:
        purses = [self.purses.get((each.name, each.start)) for each in map(self.window, names)]
        free = [1000 if each is None else each.limit - each.spent - each.reserved for each in purses]
        self.request(names, cell, max(0, min(free) + beyond), want, urgent=True)

    @rule(name=st.sampled_from(_BUDGETS), limit=st.integers(0, 3000), cell=_CELLS, want=_AMOUNTS)
    def change_limit(self, name: str, limit: int, cell: str, want: int) -> None:
        self.limits[name] = limit
        self.request((name,), cell, 0, want)

    def request(self, names: tuple[str, ...], cell: str, least: int, want: int, *, urgent: bool = False) -> None:
        windows = [self.window(name) for name in names]
        purses = list[Purse]()
        for each in windows:
            purse = self.purses.setdefault((each.name, each.start), Purse(0, 0.0))
            purse.limit, purse.end = each.limit, each.end
            purses.append(purse)
        life = self.lives[cell]
        found = self.run(
            self.office.lease, request(*windows, least=least, want=want, cell=cell, epoch=life, urgent=urgent)
        )
        room = [left_of(each, purse, urgent=urgent) for each, purse in zip(windows, purses, strict=True)]
        if room and min(room) < least:
            assert isinstance(found, Refused)
            assert found.free < least
            assert found.free in room
            self.waits(found, windows, purses, least, urgent=urgent)
            return
        assert isinstance(found, Leased)
        assert found.amount == (max(least, min(want, min(room) // 32)) if room else max(least, want))
        assert found.until == min((purse.end for purse in purses), default=math.inf)
        self.lines(found, windows, purses)
        self.held[found.id] = Held(cell, life, purses, found.amount, found.until, self.clock.now())

    def waits(self, found: Refused, windows: list[Window], purses: list[Purse], least: int, *, urgent: bool) -> None:
        """Only the line keeps it from being leased; that is said once in a window."""
        told = set[tuple[str, str]]()
        for each, purse in zip(windows, purses, strict=True):
            only_line = left_of(each, purse, urgent=urgent) < least <= left_of(each, purse, urgent=True)
            if only_line and "queue" not in purse.told:
                purse.told.add("queue")
                told.add((each.name, "queue"))
        assert {(each.window, each.line) for each in found.crossed} == told

    def lines(self, found: Leased, windows: list[Window], purses: list[Purse]) -> None:
        crossed, reached = set[tuple[str, str]](), set[str]()
        for each, purse in zip(windows, purses, strict=True):
            purse.reserved += found.amount
            for line in _LINES:
                if 0 < getattr(each, line) <= purse.spent + purse.reserved:
                    reached.add(line)
                    crossed |= {(each.name, line)} if line not in purse.told else set()
                    purse.told.add(line)
        assert {(each.window, each.line) for each in found.crossed} == crossed
        assert len(found.crossed) == len(crossed)
        assert (found.step_down, found.queue) == ("step_down" in reached, "queue" in reached)

    def some_lease(self, data: st.DataObject) -> int:
        return data.draw(st.sampled_from([*self.held, 999]))

    @rule(data=st.data(), cell=_CELLS, costs=st.lists(_AMOUNTS, max_size=3))
    def settle(self, data: st.DataObject, cell: str, costs: list[int]) -> None:
        leases = [self.some_lease(data) for _ in costs]
        entries = [entry(lease, cost) for lease, cost in zip(leases, costs, strict=True)]
        done = self.run(self.office.settle, cell, self.lives[cell], entries)
        assert done.new == len(entries)
        over = [(each.lease, each.amount) for each in done.over]
        assert over == [each for one in entries for each in self.take(cell, one)]
        self.told += [(cell, each) for each in entries]

    def take(self, cell: str, one: Entry) -> list[tuple[int, int]]:
        held = self.held.get(one.lease)
        if held is None or held.cell != cell:
            return [(one.lease, one.cost)] if one.cost else []
        within = min(held.rest, one.cost)
        held.rest -= within
        known = min(held.lost, one.cost - within)
        held.lost -= known
        over = one.cost - within - known
        for purse in held.purses:
            purse.reserved -= within
            purse.spent += within + over
            purse.beyond += over
        return [(one.lease, over)] if over and held.purses else []

    @precondition(lambda self: self.told)
    @rule(data=st.data())
    def tell_again(self, data: st.DataObject) -> None:
        cell, one = data.draw(st.sampled_from(self.told))
        done = self.run(self.office.settle, cell, self.lives[cell], [one])
        assert (done.new, done.over) == (0, ())

    @rule(data=st.data(), cell=_CELLS)
    def give_back(self, data: st.DataObject, cell: str) -> None:
        leases = [self.some_lease(data) for _ in range(2)]
        total = 0
        for lease in set(leases):
            held = self.held.get(lease)
            if held and (held.cell, held.epoch) == (cell, self.lives[cell]):
                total += held.rest
                for purse in held.purses:
                    purse.reserved -= held.rest
                held.rest = 0
        assert self.run(self.office.give_back, cell, self.lives[cell], leases) == total

    @rule(cell=_CELLS, dies=st.booleans(), buried=st.booleans())
    def bury(self, cell: str, dies: bool, buried: bool) -> None:
        self.lives[cell] += dies
        if buried:
            self.bury_before(cell, self.lives[cell])

    def bury_before(self, cell: str, life: int) -> None:
        found = self.run(self.office.bury, cell, life)
        gone = {at: held for at, held in self.held.items() if held.cell == cell and held.epoch < life and held.rest}
        self.lose(gone)
        assert [each.lease for each in found] == sorted(gone)

    @rule(ended=st.sampled_from([0.0, 1.0, 24 * HOUR]), old=st.sampled_from([0.0, HOUR]))
    def expire(self, ended: float, old: float) -> None:
        before, made_before = self.clock.now() - ended, self.clock.now() - old
        found = self.run(self.office.expire, before, made_before=made_before)
        gone = {
            at: held for at, held in self.held.items()
            if held.rest and (held.until < before or (held.until == math.inf and held.made < made_before))
        }  # fmt: skip
        amounts = [held.rest for _, held in sorted(gone.items())]
        self.lose(gone)
        assert [(each.lease, each.amount) for each in found] == list(zip(sorted(gone), amounts, strict=True))

    def lose(self, gone: dict[int, Held]) -> None:
        for held in gone.values():
            for purse in held.purses:
                purse.reserved -= held.rest
                purse.spent += held.rest
            held.lost, held.rest = held.rest if held.purses else 0, 0

    @rule(seconds=st.floats(0.5, 30 * HOUR), jump=st.sampled_from([0, 0, -48, -1, 1, 48, 24 * 365]))
    def pass_time(self, seconds: float, jump: int) -> None:
        self.run(self.clock.advance, seconds)
        self.clock.jump(jump * HOUR)

    @rule(sweep=st.booleans())
    def reopen(self, sweep: bool) -> None:
        if sweep:
            gone = self.run(self.office.sweep)
            assert (gone.windows, gone.leases) == (0, 0), "the newest stay, however far a clock jumps"
        self.inner.close()
        self.open()

    @invariant()
    def stands_as_the_model_stands(self) -> None:
        sql = "SELECT name, start, most, spent, reserved, beyond FROM windows"
        found = self.run(rows, self.office, sql)
        assert {tuple(row[:2]): tuple(row[2:]) for row in found} == {
            key: (purse.limit, purse.spent, purse.reserved, purse.beyond) for key, purse in self.purses.items()
        }

    @invariant()
    def nothing_is_wrong_in_the_file(self) -> None:
        assert self.run(self.office.db.read, wrong) == []


TestOffice = Office.TestCase
TestOffice.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


class ForLong(Office):
    """The same, more often and for longer."""


TestOfficeForLong = pytest.mark.long(pytest.mark.timeout(900)(ForLong.TestCase))
TestOfficeForLong.settings = settings(max_examples=1000, stateful_step_count=60, deadline=None)
