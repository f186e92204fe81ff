"""What is compared with whom, and the ratio to reach. ``None``: measured and shown, not aimed at now."""

from typing import Final, Literal, NamedTuple

from .durable import done_per_second, median_wait
from .names import AUTOGEN, ERLANG, FASTSTREAM, JOINED, NATS, PYKKA, TASKIQ, THESPIAN, XOSCAR
from .rounds import Measure
from .side import IN_FLIGHT, asked_per_second, median_latency, told_per_second

_INSIDE: Final = {THESPIAN: None, XOSCAR: None, AUTOGEN: None, ERLANG: None}

Where = Literal["across processes", "in one process", "as durable work"]
Better = Literal["higher", "lower"]


class Work(NamedTuple):
    """One kind of work, done by us and by each peer."""

    name: str
    where: Where
    unit: str
    better: Better
    measure: Measure
    reach: dict[str, float | None]
    promised: float = 0.0
    """What we promise besides, whoever else is measured; 0.0: nothing."""


WORKS: Final = (
    Work(
        "tell across processes", "across processes", "messages/s", "higher", told_per_second,
        {NATS: 2.0, JOINED: None, FASTSTREAM: 20.0},
    ),
    Work(
        f"ask across processes, {IN_FLIGHT} in flight", "across processes", "answers/s", "higher", asked_per_second,
        {NATS: 2.0, FASTSTREAM: 8.0},
    ),
    Work(
        "ask across processes, one at a time", "across processes", "µs, median", "lower", median_latency,
        {NATS: 1.15, FASTSTREAM: None},
    ),
    Work(
        "tell in one process", "in one process", "messages/s", "higher", told_per_second,
        {PYKKA: 1.0, NATS: None, **_INSIDE},
    ),
    Work(
        f"ask in one process, {IN_FLIGHT} in flight", "in one process", "answers/s", "higher", asked_per_second,
        {PYKKA: None, NATS: None, **_INSIDE}, 150_000.0,
    ),
    Work(
        f"enqueue to acknowledged, {IN_FLIGHT} in hand", "as durable work", "tasks/s", "higher", done_per_second,
        {NATS: 0.9, TASKIQ: 3.0},
    ),
    Work(
        "enqueue to handler, one at a time", "as durable work", "µs, median", "lower", median_wait,
        {NATS: 1.5, TASKIQ: None},
    ),
)  # fmt: skip
