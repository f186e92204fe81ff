"""Hypothesis looks for an order of events in which a supervisor breaks a rule."""

from typing import Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from callboard.actors import RESTARTS, Intensity
from callboard.supervisor.plan import (
    Action,
    Begin,
    Child,
    Due,
    End,
    Event,
    Exited,
    Faltered,
    Held,
    Plan,
    Restarted,
    Revived,
    Served,
    Started,
    Wait,
)
from callboard.supervisor.restart import Exit
from callboard.supervisor.tree import step

from .tree_world import Seen, World

LIMITS: Final = st.builds(Intensity, most=st.integers(0, 3), within=st.sampled_from([1.0, 10.0]))
CHILDREN: Final = st.lists(st.tuples(st.sampled_from(RESTARTS), LIMITS), min_size=1, max_size=4)
PLANS: Final = st.builds(
    Plan,
    children=CHILDREN.map(
        lambda made: tuple(
            Child(name=f"c{at}", restart=restart, intensity=intensity) for at, (restart, intensity) in enumerate(made)
        )
    ),
    strategy=st.sampled_from(["one_for_one", "one_for_all", "rest_for_one"]),
    intensity=st.none() | LIMITS,
    on_spent=st.sampled_from(["hold", "escalate"]),
    top=st.booleans(),
    together=st.booleans(),
)
WHICH: Final = st.integers(0, 3)
HOWS: Final = st.sampled_from(["crashed", "normal", "bus-lost"])


class Supervised(RuleBasedStateMachine):
    """One node and the shell's side of it: which lives there are, and which timers run."""

    world: World
    timers: list[tuple[float, str]]

    @initialize(plan=PLANS)
    def plant(self, plan: Plan) -> None:
        self.world, self.timers = World(plan), []

    def tell(self, event: Event) -> None:
        actions: list[Action] = self.world.tell(event)
        self.timers += [(self.world.now + each.seconds, each.name) for each in actions if isinstance(each, Wait)]

    def some(self, which: int, *lives: str) -> Seen | None:
        """Return one of the children whose life is as given, if there are any."""
        found = [child for child in self.world.seen.values() if child.life in lives]
        return found[which % len(found)] if found else None

    @rule()
    @precondition(lambda self: not self.world.begun)
    def begin(self) -> None:
        self.tell(Begin())

    @rule(which=WHICH)
    def a_start_ends(self, which: int) -> None:
        if child := self.some(which, "starting"):
            self.tell(Started(child.child.name))

    @rule(which=WHICH)
    def one_serves(self, which: int) -> None:
        if child := self.some(which, "running"):
            self.tell(Served(child.child.name))

    @rule(which=WHICH, how=HOWS)
    def one_exits(self, which: int, how: Exit) -> None:
        if child := self.some(which, "starting", "running"):
            self.tell(Exited(child.child.name, how))

    @rule(which=WHICH)
    @precondition(lambda self: self.world.plan.strategy == "one_for_one")
    def one_falters(self, which: int) -> None:
        if child := self.some(which, "starting", "running"):
            self.tell(Faltered(child.child.name))

    @rule(which=WHICH)
    def a_backoff_ends(self, which: int) -> None:
        if self.timers:
            at, name = self.timers.pop(which % len(self.timers))
            self.world.now = max(self.world.now, at)
            self.tell(Due(name))

    @rule(which=WHICH, hand=st.sampled_from([Held, Revived, Restarted]))
    def a_hand(self, which: int, hand: type[Held | Revived | Restarted]) -> None:
        self.tell(hand(self.world.order[which % len(self.world.order)]))

    @rule(seconds=st.sampled_from([0.25, 1.0, 10.0]))
    def time_passes(self, seconds: float) -> None:
        self.world.now += seconds

    @rule()
    @precondition(lambda self: len(self.world.log) > 20)
    def end(self) -> None:
        self.tell(End())

    @invariant()
    def what_comes_too_late_changes_nothing(self) -> None:
        world = self.world
        for name, child in world.seen.items():
            late: list[Event] = [Begin()] if world.begun else []
            if not child.life:
                late += [Exited(name, "crashed"), Faltered(name), Started(name), Served(name)]
            if not (child.owed and child.timers):
                late.append(Due(name))
            for event in late:
                assert step(world.plan, world.state, event, world.now) == (world.state, [])

    def teardown(self) -> None:
        """Without further faults all comes to rest."""
        if not hasattr(self, "world"):
            return
        if not self.world.begun:
            self.tell(Begin())
        for _ in range(200):
            told = [name for name, child in self.world.seen.items() if child.life and child.told]
            if told:
                self.tell(Exited(told[0], "normal"))
            elif child := self.some(0, "starting"):
                self.tell(Started(child.child.name))
            elif self.timers:
                self.timers.sort()
                self.a_backoff_ends(0)
            else:
                break
        self.world.all_is_well()


TestSupervised = Supervised.TestCase
TestSupervised.settings = settings(max_examples=400, stateful_step_count=50, deadline=None)
