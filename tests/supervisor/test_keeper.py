"""The shell of one supervisor: events one after the other, orders in order, timers that end."""

import anyio
import pytest

from callboard.actors import Intensity
from callboard.background import background
from callboard.supervisor.keeper import Keeper
from callboard.supervisor.plan import Begin, Child, End, Event, Exited, Held, Plan, Restarted, Served, Started
from callboard.testing import ManualClock


class Hands:
    """Writes down what is ordered, and may answer an order with events."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.answers: dict[str, list[Event]] = {}
        self.slow: frozenset[str] = frozenset()
        self.keeper: Keeper

    def _do(self, order: str) -> None:
        self.done.append(order)
        for event in self.answers.pop(order, []):
            self.keeper.tell(event)
        if order in self.slow:
            self.done.append(f"{order} done")

    def start(self, name: str) -> None:
        self._do(f"start {name}")

    def stop(self, name: str) -> None:
        self._do(f"stop {name}")

    def mend(self, name: str, seconds: float) -> None:
        self._do(f"mend {name}")

    def hold(self, name: str, why: str) -> None:
        self._do(f"hold {name}: {why}")

    def ended(self, name: str) -> None:
        self._do(f"ended {name}")

    def recovered(self, name: str, crashes: int) -> None:
        self._do(f"recovered {name} {crashes}")

    def escalate(self, why: str) -> None:
        self._do(f"escalate: {why}")


PLAN = Plan(children=(Child(name="a"), Child(name="b")))


async def test_what_a_performer_tells_happens_when_the_orders_before_it_are_done() -> None:
    hands = Hands()
    hands.slow = frozenset({"start a"})
    hands.answers = {"start a": [Started("a")], "start b": [Started("b")]}
    async with background() as tasks:
        hands.keeper = keeper = Keeper(PLAN, hands, clock=ManualClock(), tasks=tasks)
        keeper.tell(Begin())
        assert hands.done == ["start a", "start a done", "start b"]
        assert keeper.settled.is_set()


async def test_a_backoff_is_waited_for_on_the_clock_and_a_hand_ends_it() -> None:
    hands, clock = Hands(), ManualClock()
    async with background() as tasks:
        keeper = Keeper(PLAN, hands, clock=clock, tasks=tasks)
        for event in (Begin(), Started("a"), Started("b"), Exited("a", "bus-lost")):
            keeper.tell(event)
        await anyio.wait_all_tasks_blocked()
        await clock.advance(0.39)
        assert hands.done == ["start a", "start b"]
        await clock.advance(0.22)
        assert hands.done == ["start a", "start b", "start a"]
        keeper.tell(Exited("a", "bus-lost"))
        keeper.tell(Restarted("a"))
        assert hands.done[3:] == ["start a"]
        await clock.advance(100.0)
        assert hands.done[4:] == []


async def test_nothing_is_left_of_a_node_that_is_over() -> None:
    hands, clock = Hands(), ManualClock()
    with anyio.fail_after(5.0):
        async with anyio.create_task_group() as tasks:
            keeper = Keeper(PLAN, hands, clock=clock, tasks=tasks)
            for event in (Begin(), Started("a"), Exited("a", "bus-lost"), Held("b")):
                keeper.tell(event)
            keeper.tell(Exited("b", "normal"))
            keeper.tell(End())
            assert keeper.over.is_set()
    assert hands.done == ["start a", "start b", "hold b: held by hand", "stop b"]


async def test_each_order_has_its_hand() -> None:
    hands = Hands()
    never = Child(name="a", restart="transient", intensity=Intensity(most=1))
    plan = Plan(children=(never, Child(name="b", restart="temporary")), on_spent="escalate", top=True)
    async with background() as tasks:
        keeper = Keeper(plan, hands, clock=ManualClock(), tasks=tasks)
        for event in (
            Begin(), Started("a"), Exited("b", "normal"), Exited("a", "crashed"), Served("a"),
            Exited("a", "crashed", "boom"),
        ):  # fmt: skip
            keeper.tell(event)
        why = "a: 2 crashes within 30 s: boom"
        assert hands.done == [
            "start a", "start b", "ended b", "start a", "recovered a 1", f"escalate: {why}", f"hold a: {why}",
        ]  # fmt: skip


async def test_a_shell_that_answers_each_order_with_another_event_is_stopped() -> None:
    class Circling(Hands):
        def start(self, name: str) -> None:
            for _ in range(1000):
                self.keeper.tell(Served(name))

    hands = Circling()
    async with background() as tasks:
        hands.keeper = Keeper(PLAN, hands, clock=ManualClock(), tasks=tasks)
        with pytest.raises(RuntimeError, match="this shell turns in circles"):
            hands.keeper.tell(Begin())


async def test_a_child_that_is_forgotten_is_due_no_more_and_the_end_of_the_others_is_the_end() -> None:
    hands, clock = Hands(), ManualClock()
    async with background() as tasks:
        keeper = Keeper(PLAN, hands, clock=clock, tasks=tasks)
        for event in (Begin(), Started("a"), Started("b"), Exited("a", "bus-lost"), Held("a")):
            keeper.tell(event)
        await anyio.wait_all_tasks_blocked()
        keeper.forget("a")
        await clock.advance(100.0)
        assert [kid.name for kid in keeper.state.kids] == [child.name for child in keeper.plan.children] == ["b"]
        keeper.tell(End())
        keeper.tell(Exited("b", "normal"))
        assert keeper.over.is_set()
