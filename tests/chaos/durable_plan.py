"""The tasks of a run of durable work. Pure: the same seed, the same tasks."""

import random
from collections import defaultdict
from typing import Final, NamedTuple

DESKS: Final = ("ant", "bee")
CLERK: Final = "clerk"
KEYS: Final = 16
POISONED: Final = 0.006
FAILING: Final = 0.03
KEYED: Final = 0.06


class Order(NamedTuple):
    """One task as it is enqueued."""

    name: str
    """Also its id."""
    actor: str
    key: str = ""
    place: int = 0
    priority: str = "normal"
    delay: float = 0.0
    steps: int = 0
    then: int = 0
    tells: int = 0
    fails: int = 0
    again: bool = False
    """Whether it is enqueued a second time, later."""

    @property
    def poisoned(self) -> bool:
        """Whether no try of it succeeds."""
        return self.fails < 0


def plan(count: int, seed: int) -> list[Order]:
    """Return `count` tasks."""
    chance = random.Random(seed)  # noqa: S311 - repeatable on purpose
    places: dict[str, int] = defaultdict(int)
    return [_order(f"t{number:05d}", chance, places) for number in range(count)]


def _order(name: str, chance: random.Random, places: dict[str, int]) -> Order:
    key = f"{chance.randrange(KEYS)}" if chance.random() < KEYED else ""
    places[key] += 1
    late, fails = not key and chance.random() < 0.06, _fails(chance, keyed=bool(key))
    return Order(
        name,
        actor=DESKS[int(key or chance.randrange(len(DESKS))) % len(DESKS)],
        key=key,
        place=places[key] if key else 0,
        priority="normal" if key else chance.choice(("high", "normal", "normal", "low")),
        delay=chance.uniform(0.1, 2.0) if late else 0.0,
        steps=chance.choice((0, 0, 0, 1, 1, 2)),
        then=chance.choice((0, 0, 0, 1, 2)),
        tells=chance.choice((0, 0, 0, 0, 1)),
        fails=fails,
        again=fails >= 0 and chance.random() < 0.05,  # what was buried is forgotten, and begins anew
    )


def _fails(chance: random.Random, *, keyed: bool) -> int:
    """Of a key few fail: it waits for each of them."""
    found, rarer = chance.random(), 4.0 if keyed else 1.0
    if found < POISONED / rarer:
        return -1
    return chance.choice((1, 2)) if found < (POISONED + FAILING) / rarer else 0
