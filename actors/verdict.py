"""Whether a message in hand goes on, waits as it said it would, or is stalled. Pure: values in, a verdict out.

A handler is never judged by how long it takes, only by whether it comes further. It says so by finishing, by
``ctx.progress``, or by a declared wait, which is nobody's business until its own time is over.
"""

from typing import Literal, NamedTuple

from .hand import InHand

Going = Literal["busy", "waiting", "stalled"]


class Judgement(NamedTuple):
    """What a message in hand is, and why."""

    going: Going
    why: str


def judge_hand(hand: InHand, *, now: float, stalled_after: float) -> Judgement:
    """Judge a message in hand at `now`, in monotonic seconds like all its times."""
    wait = hand.wait()
    if wait is not None and now <= wait.until:
        return Judgement("waiting", f"waits on {wait.on}, at most {wait.until - now:.0f} s more")
    if wait is not None:
        return Judgement("stalled", f"waits on {wait.on} for {now - wait.until:.1f} s longer than it said")
    quiet = now - hand.progressed
    if quiet > stalled_after:
        said = f" since {hand.doing!r}" if hand.doing else ""
        return Judgement("stalled", f"no progress for {quiet:.1f} s{said}, and no declared wait")
    return Judgement("busy", "")
