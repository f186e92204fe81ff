"""What is compared with whom, and the ratio to reach. ``None``: measured and shown, not aimed at now."""

from typing import Final, Literal, NamedTuple

from .rounds import Measure
from .side import IN_FLIGHT, asked_per_second, median_latency, told_per_second

OURS: Final = "callboard"
NATS: Final = "nats-py"
JOINED: Final = "nats-py, 16 joined by hand"
FASTSTREAM: Final = "FastStream"
PYKKA: Final = "pykka"
THESPIAN: Final = "thespian"
XOSCAR: Final = "xoscar"
AUTOGEN: Final = "autogen"
_INSIDE: Final = {THESPIAN: None, XOSCAR: None, AUTOGEN: None}

Where = Literal["across processes", "in one process"]
Better = Literal["higher", "lower"]


class Work(NamedTuple):
    """One kind of work, done by us and by each peer."""

    name: str
    where: Where
    unit: str
    better: Better
    measure: Measure
    reach: dict[str, float | None]


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
        {PYKKA: 1.0, NATS: None, **_INSIDE},
    ),
)  # fmt: skip
