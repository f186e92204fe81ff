"""Whether and when to start again what has ended. Pure: values in, a decision out.

After OTP's supervisor, with two changes that agents in production asked for: the budget is counted for each child, not
for the group, and what has spent it is *held* in sight instead of taking its siblings down. The first restart comes at
once, the next ones after 0.5, 1, 2 … 30 seconds, each 20 % up or down, so that what died together does not return
together.
"""

from typing import Final, Literal, NamedTuple

from callboard.actors import Intensity, Restart

FIRST: Final = 0.5
LONGEST: Final = 30.0
JITTER: Final = 0.2

Exit = Literal["normal", "crashed", "bus-lost"]
"""How it ended. ``bus-lost``: it ended itself because the bus was gone, which is no fault of its own."""


class Decision(NamedTuple):
    """What to do: ``restart`` after `delay` seconds, ``hold``, or let it ``end``; and the crashes still counted."""

    do: Literal["restart", "hold", "end"]
    delay: float
    crashes: tuple[float, ...]


_RESTARTED: Final[dict[Restart, frozenset[Exit]]] = {
    "permanent": frozenset({"normal", "crashed", "bus-lost"}),
    "transient": frozenset({"crashed", "bus-lost"}),
    "temporary": frozenset(),
}


def decide_restart(
    restart: Restart,
    ended: Exit,
    *,
    crashes: tuple[float, ...],
    intensity: Intensity,
    now: float,
    chance: float = 0.5,
) -> Decision:
    """Decide about a child that `ended`.

    `crashes` are the monotonic times of those before, `now` is the time of this one; `chance` (0.0 to 1.0) is the
    jitter drawn by the caller.
    """
    recent = tuple(at for at in crashes if now - at < intensity.within)
    if ended not in _RESTARTED[restart]:
        return Decision("end", 0.0, recent)
    if ended == "bus-lost":
        return Decision("restart", backoff(1, chance=chance), recent)
    recent = (*recent, now)
    if len(recent) > intensity.most:
        return Decision("hold", 0.0, recent)
    return Decision("restart", backoff(len(recent) - 1, chance=chance), recent)


def backoff(times: int, *, chance: float = 0.5) -> float:
    """Return the seconds to wait before the restart that follows `times` others: 0, then 0.5 doubling up to 30."""
    if times <= 0:
        return 0.0
    return min(FIRST * 2.0 ** min(times - 1, 16), LONGEST) * (1 + JITTER * (2 * chance - 1))
