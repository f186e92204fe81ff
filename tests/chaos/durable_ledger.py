"""What a run of durable work owes. Pure: what the actors' files hold goes in, what is wrong comes out.

Each check is a claim of docs/guarantees.md; ``test_durable_ledger.py`` shows each one fail.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

from .durable_plan import CLERK, Order

JOURNALED_WITHIN: Final = 2.0
"""Seconds from an effect until the journal has it, on a machine that is very busy."""
DRAINS_FOR: Final = 3.0
"""Seconds for which a cell can go on after its daemon was killed."""


class File(NamedTuple):
    """What the file of an actor holds, when nobody owns it."""

    inbox: frozenset[str]
    memory: Mapping[str, Any]
    leaving: Sequence[tuple[str, str]] = ()
    """What has not left: verb and id."""
    unfinished: frozenset[str] = frozenset()
    """Tasks of which steps or tries are kept."""


class Dead(NamedTuple):
    """A task in the quarantine."""

    actor: str
    id: str
    reason: str
    number: int


class Effect(NamedTuple):
    """One effect outside, as its step has written it down."""

    name: str
    pid: int
    daemon: int
    at: float

    @property
    def task(self) -> str:
        """Whose step it was."""
        return self.name.partition("/")[0]


class Death(NamedTuple):
    """A process that was killed or stopped: a cell, or a daemon, whose cells end a little later."""

    pid: int
    at: float


def effects_of(text: str) -> list[Effect]:
    """Return what is in the file of effects."""
    rows = (line.split() for line in text.splitlines())
    return [Effect(name, int(pid), int(daemon), float(at)) for name, pid, daemon, at in rows]


def check_stored(orders: Iterable[Order], stored: Collection[str]) -> list[str]:
    """Each task was acknowledged in the end: who repeats it until then is heard."""
    return [f"task {order.name} was never acknowledged" for order in orders if order.name not in stored]


def check_kept(orders: Iterable[Order], files: Mapping[str, File], dead: Iterable[Dead]) -> list[str]:
    """Each acknowledged task is done or in the quarantine, and none is both."""
    buried = {(each.actor, each.id) for each in dead}
    wrong = []
    for order in orders:
        done, gone = order.name in files[order.actor].inbox, (order.actor, order.name) in buried
        if not done and not gone:
            wrong.append(f"task {order.name} of {order.actor} is lost")
        elif done and gone:
            wrong.append(f"task {order.name} of {order.actor} is done, and in the quarantine")
    return wrong


def check_buried(orders: Iterable[Order], dead: Iterable[Dead]) -> list[str]:
    """In the quarantine is what always fails, or what has killed its process, and all of the first kind."""
    reasons = {each.id: each.reason for each in dead}
    wrong = [f"task {order.name} always fails, and is not buried" for order in orders
             if order.poisoned and order.name not in reasons]  # fmt: skip
    healthy = [order.name for order in orders if not order.poisoned and order.name in reasons]
    return wrong + [f"task {name} was buried: {reasons[name]}" for name in healthy if reasons[name] != "poisonous"]


def check_once(files: Mapping[str, File]) -> list[str]:
    """What a task does to memory is there once if it is done, and not at all if it is not."""
    wrong = []
    for actor, file in files.items():
        did = {key.removeprefix("did-"): value for key, value in file.memory.items() if key.startswith("did-")}
        wrong += [f"task {name} of {actor} counts {value} times" for name, value in did.items() if value != 1]
        wrong += [f"task {name} of {actor} counts, and is not done" for name in did.keys() - file.inbox]
        wrong += [f"task {name} of {actor} is done, and does not count" for name in file.inbox - did.keys()]
    return wrong


def check_followed(orders: Iterable[Order], files: Mapping[str, File]) -> list[str]:
    """What a done task has enqueued is done too, and nothing else."""
    owed = {
        f"{order.name}.{number}" for order in orders if order.name in files[order.actor].inbox
        for number in range(order.then)
    }  # fmt: skip
    found = files[CLERK].inbox
    return [
        *(f"task {name} was promised by a done task, and is lost" for name in sorted(owed - found)),
        *(f"task {name} was done, and no done task has said it" for name in sorted(found - owed)),
    ]


def told(files: Mapping[str, File]) -> dict[str, int]:
    """Return how often the clerk has heard each word."""
    memory = files[CLERK].memory
    return {key.removeprefix("told-"): value for key, value in memory.items() if key.startswith("told-")}


def words_of(orders: Iterable[Order], files: Mapping[str, File]) -> set[str]:
    """Return the words that done tasks have said."""
    return {
        f"{order.name}.{number}" for order in orders if order.name in files[order.actor].inbox
        for number in range(order.tells)
    }  # fmt: skip


def check_told(orders: Iterable[Order], files: Mapping[str, File]) -> list[str]:
    """What a done task has told is heard once at most, and what others would have told is not heard."""
    heard, said = told(files), words_of(orders, files)
    return [
        *(f"word {name} was heard {count} times" for name, count in heard.items() if count != 1),
        *(f"word {name} was heard, and no done task has said it" for name in sorted(heard.keys() - said)),
    ]


def check_order(orders: Iterable[Order], files: Mapping[str, File]) -> list[str]:
    """The tasks of one key were done in the order in which they were stored."""
    places: dict[tuple[str, str], list[int]] = defaultdict(list)
    for order in orders:
        if order.key and order.name in files[order.actor].inbox:
            places[order.actor, order.key].append(order.place)
    wrong = []
    for (actor, key), stored in places.items():
        done = files[actor].memory.get(f"order-{key}", [])
        if done != sorted(stored):
            wrong.append(f"the tasks of key {key} were done in the order {done}, not {sorted(stored)}")
    return wrong


def check_settled(files: Mapping[str, File], buried: Container[str] = ()) -> list[str]:
    """When all is over nothing waits to leave, and nothing is kept of a task in the middle.

    Of one that was buried something may be left, if its process died before it could forget it: that is swept later.
    """
    return [
        *(f"{verb} {name} of {actor} has not left" for actor, file in files.items() for verb, name in file.leaving),
        *(
            f"{actor} keeps steps or tries of {name}"
            for actor, file in files.items()
            for name in file.unfinished
            if name not in buried
        ),
    ]


def check_front(stored: Mapping[str, int], dead: Iterable[Dead]) -> list[str]:
    """What was stored at a front door and does not fit is in the quarantine; more of it, where the answer was lost."""
    buried = Counter(each.actor for each in dead if each.reason == "message-refused")
    return [f"of {count} at the door of {actor} only {buried[actor]} are left"
            for actor, count in stored.items() if buried[actor] < count]  # fmt: skip


def by_step(effects: Iterable[Effect]) -> dict[str, list[Effect]]:
    """Return the effects of each step, in order."""
    found: dict[str, list[Effect]] = defaultdict(list)
    for each in sorted(effects, key=lambda effect: effect.at):
        found[each.name].append(each)
    return found


def check_effects(
    orders: Iterable[Order], files: Mapping[str, File], effects: Iterable[Effect], deaths: Iterable[Death]
) -> list[str]:
    """Each step of a done task had its effect, and had it again only if its process died before the journal had it.

    No journal can do better: the effect is outside. Of a task in the quarantine the steps are forgotten with it; if
    its process dies before the queue knows, it is tried anew, steps and all, in another process.
    """
    steps, fatal, wrong = by_step(effects), list(deaths), list[str]()
    done = {order.name for order in orders if order.name in files[order.actor].inbox}
    for order in orders:
        for number in range(order.steps if order.name in done else 0):
            if f"{order.name}/{number}" not in steps:
                wrong.append(f"step {order.name}/{number} had no effect")
    for name, lines in steps.items():
        for first, then in pairwise(lines):
            if first.pid == then.pid or (first.task in done and not _was_cut_short(first, fatal)):
                wrong.append(f"step {name} was repeated after {then.at - first.at:.3f} s, and nobody had died")
    return wrong


def _was_cut_short(effect: Effect, deaths: Iterable[Death]) -> bool:
    """Return whether the process of an effect died so soon that the journal may not have it."""
    for death in deaths:
        if death.pid == effect.pid and -0.1 < death.at - effect.at < JOURNALED_WITHIN:
            return True
        if death.pid == effect.daemon and -DRAINS_FOR < death.at - effect.at < JOURNALED_WITHIN:
            return True
    return False
