"""Ten thousand seeds of crashes, slow starts, deaths during stops, a person's hand and late clocks.

Each seed makes a plan and a world of faults on a virtual clock; :mod:`.tree_world` checks every step. A failure names
its seed: ``run(seed)`` plays it again.
"""

import heapq
import random
from itertools import count
from typing import Final

import pytest

from callboard.actors import RESTARTS, Intensity
from callboard.supervisor.plan import (
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
    Start,
    Started,
    Stop,
    Strategy,
    Wait,
)
from callboard.supervisor.restart import JITTER, LONGEST, Exit

from .tree_world import World

SEEDS: Final = 10_000
CHUNK: Final = 1_000
STRATEGIES: Final[tuple[Strategy, ...]] = ("one_for_one", "one_for_all", "rest_for_one")
FAULTS_FOR: Final = 60.0
SLOWEST: Final = 4.0
"""Seconds that a start or a stop takes at most."""
LATEST: Final = 60.0
"""Seconds for which the machine stands still at most."""

Happening = tuple[str, str, int]
"""What comes, of whom, in which of its lives."""


class Faulty(World):
    """Performs what is ordered, late and badly, until the faults cease."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - faults
        super().__init__(_plan(self.random))
        self.heap: list[tuple[float, int, Happening]] = []
        self.number = count()
        self.cease = self.now + FAULTS_FOR
        self.rate = self.random.choice((0.1, 0.5, 0.9))
        for _ in range(self.random.randrange(10)):
            self.at(self.random.uniform(0.0, FAULTS_FOR), "hand", self.random.choice(self.order))
        if self.random.random() < 0.15:
            self.at(self.random.uniform(0.0, FAULTS_FOR), "end", "")

    def at(self, seconds: float, what: str, name: str) -> None:
        life = self.seen[name].lives if name else 0
        heapq.heappush(self.heap, (self.now + seconds, next(self.number), (what, name, life)))

    def happen(self, event: Event) -> None:
        for action in self.tell(event, self.random.random()):
            if isinstance(action, Start):
                self.at(self.soon(), "start ends", action.name)
            elif isinstance(action, Stop):
                self.at(self.soon(), "dies", action.name)
            elif isinstance(action, Wait):
                self.at(action.seconds, "due", action.name)

    def soon(self) -> float:
        return self.random.choice((0.0, 0.0, 0.1, self.random.uniform(0.0, SLOWEST)))

    def fault(self) -> bool:
        return self.now < self.cease and self.random.random() < self.rate

    def run(self) -> "Faulty":
        self.happen(Begin())
        while self.heap:
            due, _, (what, name, life) = heapq.heappop(self.heap)
            self.now = max(self.now, due)
            if self.now < self.cease and self.random.random() < 0.02:
                self.now += self.random.choice((0.5, 5.0, LATEST))  # the machine stood still, and all comes late
            if what == "hand":
                self.happen(self.random.choice((Held, Revived, Restarted, Revived))(name))
            elif what == "end":
                self.happen(End())
            elif what == "due":
                self.happen(Due(name))
            elif self.seen[name].life and self.seen[name].lives == life:
                self.live(what, name)
        return self

    def live(self, what: str, name: str) -> None:
        """Let come what was to come in the life of one child."""
        if what == "dies":
            if self.now < self.cease or self.seen[name].told:
                self.happen(Exited(name, self.how(), "a fault"))
        elif what == "serves":
            self.happen(Served(name))
        elif what == "falters":
            if self.now < self.cease:
                self.happen(Faltered(name, "a part of it"))
        elif self.fault() and self.fault():
            self.happen(Exited(name, self.how(), "no start"))
        else:
            self.happen(Started(name))
            self.at(self.soon(), "serves", name)
            if self.plan.strategy == "one_for_one" and self.fault():
                self.at(self.random.expovariate(0.2), "falters", name)
            if self.fault():
                self.at(self.random.expovariate(0.2), "dies", name)

    def how(self) -> Exit:
        return self.random.choice(("crashed", "crashed", "crashed", "normal", "bus-lost"))


def _plan(chance: random.Random) -> Plan:
    def intensity() -> Intensity:
        return Intensity(most=chance.choice((0, 1, 2, 3, 5, 5, 8)), within=chance.choice((1.0, 10.0, 30.0)))

    children = tuple(
        Child(name=f"c{number}", restart=chance.choice(("permanent", *RESTARTS)), intensity=intensity())
        for number in range(chance.randint(1, 6))
    )
    return Plan(
        children=children,
        strategy=chance.choice(STRATEGIES),
        intensity=chance.choice((None, None, intensity())),
        on_spent=chance.choice(("hold", "hold", "hold", "escalate")),
        top=chance.random() < 0.5,
        together=chance.random() < 0.2,
    )


def run(seed: int) -> Faulty:
    """Play one seed to its end, when the faults have ceased and nothing more is to come."""
    world = Faulty(seed)
    try:
        world.run()
        world.all_is_well()
        assert world.now <= world.cease + LATEST + LONGEST * (1 + JITTER) + 3 * len(world.order) * SLOWEST
    except AssertionError as error:
        raise AssertionError(f"seed {seed}: {error}; after {world.log[-1]}, {world.plan}") from error
    return world


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_no_seed_of_faults_breaks_a_rule(first: int) -> None:
    for seed in range(first, first + CHUNK):
        run(seed)


def test_the_same_seed_gives_the_same_actions() -> None:
    for seed in range(300):
        assert run(seed).log == run(seed).log


def test_the_seeds_come_to_every_kind_of_end() -> None:
    ends = {"escalated": 0, "over": 0, "held": 0, "fell": 0, "mended": 0, "recovered": 0, "ended": 0}
    for seed in range(600):
        world = run(seed)
        ends["escalated"] += world.escalated
        ends["over"] += world.state.over
        ends["held"] += any(child.held for child in world.seen.values())
        ends["fell"] += any(child.fell for child in world.seen.values())
        ends["mended"] += any("Mend" in repr(actions) for _, _, actions in world.log)
        ends["ended"] += any(child.ended for child in world.seen.values())
        ends["recovered"] += any("Recovered" in repr(actions) for _, _, actions in world.log)
    assert min(ends.values()) > 20, ends
