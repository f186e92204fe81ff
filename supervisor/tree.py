"""One supervisor: what to stop and what to start, and in which order. Pure: a state and an event in, the next out.

After OTP's supervisor, whose rules are four. Children start in order, each when the one before has started, and stop in
reverse, each when the one after it is gone. The strategy says who goes down with one that crashed: nobody, those
started after it, or all. The restart type says who comes back. Too many restarts within a window, and the group is
given up to its parent. OTP stands still while a child starts or stops; we cannot, so the order is state, and each step
only begins what is next. That is the theory of this file:

*Each child is in one phase.* ``idle``: no life, to be started when its turn comes. ``starting``, ``running``: a life.
``doomed``: a life that the plan will stop, not told yet. ``stopping``: told. ``waiting``: a backoff. ``held``,
``ended``: left alone. What a doomed or stopping one becomes afterwards stands in `then`.

*Events mark, advance moves.* A crash or a hand only marks phases. Then, whatever happened, one rule is applied: tell
the last of the doomed, unless one behind it is still going; start what is idle, unless something bars it (`_BARS`, by
strategy). There is no "restart in progress" that a second crash could find half done: it marks again, and the rule goes
on from there. Each bar is a thing that the shell owes us an event for, so none can stand for ever.

*One crash, one judgement.* Only a life that is starting or running is judged, since the exit of one that is doomed or
stopping was asked for. Judged by :func:`~.restart.decide_restart`, then by the group's budget, where a lost bus counts
for nobody. A start that fails is a crash, at the beginning too: OTP would give up at once, but what an agent needs to
start (a model, a database) may be back in a second.

*The backoff comes before the group.* In one_for_all nobody starts before the culprit's backoff is over; in rest_for_one
those before it run on and those behind it wait. In one_for_one only first starts are in order: later ones wait for
nobody.

*Temporary children* stop with their group and do not come back. What ended by itself does not come back with a group
either: here OTP runs a finished transient child again, which would do an agent's work twice.

*A person's hand* touches the child it names and no other, counts against no budget, and a revival brings a fresh one.
A hold that was told before Begin is kept, so that one can outlive a restart of this node.

*At the top* there is nobody to give a group up to. It is held instead, whole: each child is refused at once and stopped
in reverse. Reviving one of them revives all that fell with it, in order; whom a person held before stays held.

*A child in several parts*, such as an actor with replicas, may falter: that counts as its crash, but it lives on, and
only what crashed is made anew. That is for one_for_one; where one goes down with another, no part of it stays.

**The shell** performs actions in order and waits for none. It owes one Exited for each Start, and nothing of that life
after it; Started or Exited within the time to start; Exited within the time to stop, by force; Due after Wait. A Due
that comes early belongs to a wait that a hand cut short, and is passed over.

**Nesting.** A child may be a node: its Start is a `fresh` state and Begin; when that has `settled`, it has Started; any
Served of its children is its own; its Stop is End, and once `over`, it has Exited normally; Escalate is its Exited as a
crash, counted against the budget that the parent has for it. So a child in trouble restarts, then its cell, then the
group of cells; the node at the top says ``hold``, which ends the climb: nothing restarts for ever and nothing takes the
daemon along. Levels multiply (5 crashes at each of three are 216 lives): upper ones get small budgets.
"""

from typing import Any, Final

import msgspec

from .node import GOES, LIVES, Mode, Phase, State
from .plan import (
    Action,
    Begin,
    Due,
    End,
    Ended,
    Escalate,
    Event,
    Exited,
    Faltered,
    Held,
    Hold,
    Mend,
    Plan,
    Recovered,
    Restarted,
    Revived,
    Served,
    Start,
    Started,
    Stop,
    Strategy,
    Wait,
)
from .restart import Exit, decide_restart

_BARS: Final[dict[Strategy, tuple[frozenset[str], frozenset[str]]]] = {
    "one_for_one": (frozenset({"idle", "starting"}), frozenset()),
    "rest_for_one": (frozenset({"idle", "starting", "waiting", *GOES}), frozenset({"starting", *GOES})),
    "one_for_all": (frozenset({"idle", "starting", "waiting", *GOES}), frozenset({"starting", "waiting", *GOES})),
}
"""Phases that keep an idle child from its start: of those before it, of those behind it."""
_EARLY: Final = 0.01
"""Seconds by which a timer may come early and still be the one that we wait for."""


def step(plan: Plan, state: State, event: Event, now: float, chance: float = 0.5) -> tuple[State, list[Action]]:
    """Return what `event` makes of `state`, and what to do.

    `now` is the monotonic time in seconds; `chance` (0.0 to 1.0) is the jitter drawn by the caller. An event about a
    life or a wait that is over changes nothing; one about a child that was not in the plan is a ValueError.
    """
    turn = _Turn(plan, state, now, chance)
    turn.take(event)
    turn.advance()
    return State(tuple(turn.kids), turn.mode, turn.crashes, turn.why), turn.actions


class _Turn:
    """One step in the making."""

    def __init__(self, plan: Plan, state: State, now: float, chance: float) -> None:
        self.plan, self.now, self.chance = plan, now, chance
        self.mode: Mode = state.mode
        self.kids, self.crashes, self.why = list(state.kids), state.crashes, state.why
        self.actions: list[Action] = []

    def take(self, event: Event) -> None:
        if isinstance(event, Begin):
            self.mode = "up" if self.mode == "new" else self.mode
        elif isinstance(event, End):
            self.end("")
        else:
            self.tell([kid.name for kid in self.kids].index(event.name), event)

    def tell(self, at: int, event: Event) -> None:
        kid = self.kids[at]
        later = kid.then if kid.phase in GOES else kid.phase
        match event:
            case Started() if kid.phase == "starting":
                self.mark(at, phase="running")
            case Served() if kid.phase in LIVES:
                self.serve(at)
            case Exited(how=how, why=why):
                self.exit(at, how, why)
            case Faltered(why=why) if kid.phase in LIVES:
                self.judge(at, "crashed", why, lives_on=True)
            case Due() if kid.phase == "waiting" and self.now >= kid.due - _EARLY:
                self.mark(at, phase="idle")
            case Held(why=why) if later not in ("held", "ended") or (later == "held" and kid.fell):
                self.hold(at, why)
            case Revived() | Restarted() if self.mode == "held" and later == "held":
                self.rise(at)
            case Revived() | Restarted() if later == "held" or (kid.phase == "ended" and self.mode == "up"):
                self.revive(at)
            case Restarted() if later != "ended":
                self.become(at, "idle")
            case _:
                pass

    def mark(self, at: int, **changes: Any) -> None:
        self.kids[at] = msgspec.structs.replace(self.kids[at], **changes)

    # --- what happened

    def serve(self, at: int) -> None:
        kid = self.kids[at]
        if not kid.served and (kid.lives > 1 or kid.fallen):
            self.actions.append(Recovered(kid.name, kid.fallen))
        self.mark(at, served=True, fallen=0)

    def exit(self, at: int, how: Exit, why: str) -> None:
        kid = self.kids[at]
        if kid.phase in LIVES:
            self.mark(at, phase="idle")
            self.judge(at, how, why)
        elif kid.phase in GOES:
            self.mark(at, phase=kid.then)
            if kid.then == "ended" and self.mode in ("up", "held"):
                self.actions.append(Ended(kid.name))

    def judge(self, at: int, how: Exit, why: str, *, lives_on: bool = False) -> None:
        kid, child = self.kids[at], self.plan.children[at]
        made = decide_restart(
            child.restart, how, crashes=kid.crashes, intensity=child.intensity, now=self.now, chance=self.chance
        )
        self.mark(at, crashes=made.crashes, fallen=kid.fallen + (how != "bus-lost"), served=kid.served and not lives_on)
        if made.do == "end":
            self.become(at, "ended")
            if not lives_on:
                self.actions.append(Ended(kid.name))
        elif made.do == "hold":
            reason = f"{len(made.crashes)} crashes within {child.intensity.within:g} s: {why}"
            if self.plan.on_spent == "escalate":
                self.give_up(f"{kid.name}: {reason}")
            else:
                self.hold(at, reason)
        elif how == "bus-lost" or self.afford(kid.name, why):
            if lives_on:
                self.actions.append(Mend(kid.name, made.delay))
            else:
                self.again(at, made.delay)

    def afford(self, name: str, why: str) -> bool:
        """Count a restart against the group's budget; give the group up if that is spent."""
        if self.plan.intensity is None:
            return True
        made = decide_restart("permanent", "crashed", crashes=self.crashes, intensity=self.plan.intensity, now=self.now)
        self.crashes = made.crashes
        if made.do == "hold":
            within = self.plan.intensity.within
            self.give_up(f"{len(made.crashes)} crashes in the group within {within:g} s, the last of {name}: {why}")
        return made.do != "hold"

    def again(self, at: int, delay: float) -> None:
        """Mark one that crashed for its restart, and those who go down with it."""
        if delay > 0:
            self.mark(at, phase="waiting", due=self.now + delay)
            self.actions.append(Wait(self.kids[at].name, delay))
        else:
            self.mark(at, phase="idle")
        first = {"one_for_one": len(self.kids), "rest_for_one": at + 1, "one_for_all": 0}[self.plan.strategy]
        for other in range(first, len(self.kids)):
            if self.kids[other].phase in LIVES:
                self.doom(other, "ended" if self.plan.children[other].restart == "temporary" else "idle")

    def give_up(self, why: str) -> None:
        """Pass the group on to the parent; at the top, hold all of it."""
        if not self.plan.top:
            self.end(why)
            return
        self.mode, self.why = "held", why
        self.actions.append(Escalate(why))
        for at, kid in enumerate(self.kids):
            if (kid.then if kid.phase in GOES else kid.phase) not in ("held", "ended"):
                self.actions.append(Hold(kid.name, why))
                self.mark(at, fell=True)
                self.doom(at, "held")

    def end(self, why: str) -> None:
        """Doom all; `why` if the group is given up."""
        if self.mode not in ("ending", "over"):
            self.mode, self.why = "ending", why
            for at in range(len(self.kids)):
                self.doom(at, "ended")

    def doom(self, at: int, then: Phase) -> None:
        """Let it be in phase `then`, once it is its turn to be stopped."""
        if self.kids[at].phase in LIVES:
            self.mark(at, phase="doomed", then=then)
        else:
            self.become(at, then)

    # --- a person's hand

    def rise(self, at: int) -> None:
        """Revive all that fell with the group, and the one that is named."""
        self.mode, self.why, self.crashes = "up", "", ()
        for other, kid in enumerate(self.kids):
            if kid.fell or other == at:
                self.revive(other)
                self.mark(other, first=True)

    def revive(self, at: int) -> None:
        self.mark(at, crashes=(), fallen=0, fell=False)
        self.become(at, "idle")

    def hold(self, at: int, why: str) -> None:
        self.actions.append(Hold(self.kids[at].name, why))
        self.mark(at, fell=False)
        self.become(at, "held")

    def become(self, at: int, phase: Phase) -> None:
        """Let it be in `phase`, once it is stopped."""
        if self.kids[at].phase in LIVES:
            self.stop(at, phase)
        else:
            self.mark(at, **{"then" if self.kids[at].phase in GOES else "phase": phase})

    def stop(self, at: int, then: Phase) -> None:
        self.actions.append(Stop(self.kids[at].name))
        self.mark(at, phase="stopping", then=then)

    # --- the rule

    def advance(self) -> None:
        """Tell the last of the doomed, unless one behind it still goes; start what nothing bars."""
        last = next((at for at in reversed(range(len(self.kids))) if self.kids[at].phase in GOES), -1)
        if last >= 0 and self.kids[last].phase == "doomed":
            self.stop(last, self.kids[last].then)
        if self.mode == "up":
            for at, kid in enumerate(self.kids):
                if kid.phase == "idle" and not self.barred(at):
                    self.actions.append(Start(kid.name))
                    self.mark(at, phase="starting", lives=kid.lives + 1, first=False, served=False)
        elif self.mode == "ending" and all(kid.phase == "ended" for kid in self.kids):
            self.mode = "over"
            if self.why:
                self.actions.append(Escalate(self.why))

    def barred(self, at: int) -> bool:
        before, behind = _BARS[self.plan.strategy]
        earlier = self.kids[:at]
        if self.plan.strategy == "one_for_one":
            if self.plan.together or not self.kids[at].first:
                return False
            if any(kid.first and kid.phase in GOES and kid.then == "idle" for kid in earlier):
                return True
        return any(kid.phase in before for kid in earlier) or any(kid.phase in behind for kid in self.kids[at + 1 :])
