"""What a chaos run owes, and whether it was paid. Pure: what was written down goes in, what is wrong comes out.

Each check is a claim of docs/guarantees.md. A check that could not fail would be worth nothing, so
``test_ledger.py`` shows each one fail.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple


class Line(NamedTuple):
    """One job that an agent wrote down as done."""

    name: str
    pid: int
    at: float


class Sent(NamedTuple):
    """One message that the run sent: its name, its id if it was a tell, and how it ended."""

    name: str
    id: str
    outcome: str


class Baseline(NamedTuple):
    """What the daemon's process holds."""

    threads: int
    descriptors: int


def lines_of(text: str) -> list[Line]:
    """Return the jobs in the agents' log."""
    found = []
    for line in text.splitlines():
        name, pid, at = line.split()
        found.append(Line(name, int(pid), float(at)))
    return found


def check_asks(asked: Iterable[Sent]) -> list[str]:
    """Each question was answered, or got a typed error; none ran into its deadline unheard."""
    return [f"question {sent.name} ended as {sent.outcome}" for sent in asked if sent.outcome in ("open", "deadline")]


def check_guests(asked: Iterable[Sent], done: Iterable[Line]) -> list[str]:
    """Each guest heard of what was done for it. What a dying process had not read yet, nobody can answer for."""
    handled = {line.name for line in done}
    return [
        f"guest question {sent.name} was done, and ended as {sent.outcome}"
        for sent in asked
        if sent.outcome == "deadline" and sent.name in handled
    ]


def check_once(done: Iterable[Line]) -> list[str]:
    """Nothing was done twice."""
    counts = Counter(line.name for line in done)
    return [f"{name} was done {count} times" for name, count in counts.items() if count > 1]


def check_tells(told: Iterable[Sent], done: Iterable[Line], named: Iterable[str], failed: Iterable[str]) -> list[str]:
    """Each tell was handled, or refused to its sender, or its handler failed, or it was named as lost."""
    handled, lost, broken = {line.name for line in done}, set(named), set(failed)
    return [
        f"tell {sent.name} ({sent.id}) was neither handled nor named"
        for sent in told
        if sent.outcome == "sent" and sent.name not in handled and sent.id not in lost | broken
    ]


def check_one_life(done: Iterable[Line], cell_of: Mapping[str, str]) -> list[str]:
    """A process that was replaced did nothing after its successor had begun."""
    wrong: list[str] = []
    current: dict[str, int] = {}
    gone: dict[str, set[int]] = {}
    for line in sorted(done, key=lambda each: each.at):
        cell = cell_of[line.name.partition(":")[0]]
        if line.pid in gone.setdefault(cell, set()):
            wrong.append(f"process {line.pid} of {cell} did {line.name} after another had taken its place")
        if (before := current.get(cell, line.pid)) != line.pid:
            gone[cell].add(before)
        current[cell] = line.pid
    return wrong


def check_replaced(done: Iterable[Line], said: Collection[str]) -> list[str]:
    """Nothing that a process `said` after it was replaced was done."""
    return [f"{line.name} was done, though a replaced process said it" for line in done if line.name in said]


def check_held(states: Mapping[str, str]) -> list[str]:
    """No agent ran out of its restart budget, and each one serves."""
    return [f"{actor} is {state}" for actor, state in states.items() if state not in ("running", "waiting")]


def check_orphans(processes: Iterable[int]) -> list[str]:
    """Nothing runs on after the end."""
    return [f"process {pid} was left behind" for pid in processes]


def check_baseline(before: Baseline, after: Baseline, *, slack: int = 2) -> list[str]:
    """The daemon holds as many threads and descriptors as before."""
    return [
        f"{what}: {was} before, {now} after"
        for what, was, now in zip(Baseline._fields, before, after, strict=True)
        if now > was + slack
    ]
