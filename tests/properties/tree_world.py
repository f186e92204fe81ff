"""A small shell around one supervisor, and a watcher that knows what must hold without knowing how it is decided.

The watcher sees events and actions only, never the phases that :mod:`callboard.supervisor.tree` keeps. From the lives,
timers and orders that it saw it says after each event what is wrong; its rules are written over again, by brute force.
"""

from collections.abc import Sequence
from typing import Final

from callboard.actors import Intensity
from callboard.supervisor.node import fresh
from callboard.supervisor.plan import (
    Action,
    Begin,
    Child,
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
    Wait,
)
from callboard.supervisor.restart import Exit
from callboard.supervisor.tree import step

TRIFLE: Final = 0.0101
"""Seconds by which a backoff may be shorter than ordered: a timer may come so early."""


class Seen:
    """What is known of one child from outside."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self.life = ""
        """``starting`` or ``running``, as told; empty without a life."""
        self.told = self.doomed = self.leaves = self.held = self.fell = self.ended = self.by_hand = False
        self.timers: list[float] = []
        self.lives = 0
        self.first = True
        """Whether its next start is in order also in one_for_one."""
        self.since_served = 0
        self.served = False
        self.restarts: list[float] = []
        """Times of the crashes after which it was to start again, since its last revival."""

    @property
    def owed(self) -> bool:
        """It has no life, and no word was given why not."""
        return not (self.life or self.held or self.ended)


class World:
    """Tells events, takes note of actions, and raises AssertionError when they break a rule."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.state = plan, fresh(plan)
        self.now = 1000.0
        self.seen = {child.name: Seen(child) for child in plan.children}
        self.order = list(self.seen)
        self.begun = self.ending = self.given_up = self.escalated = self.down = False
        self.group: list[float] = []
        self.log: list[tuple[float, Event, tuple[Action, ...]]] = []

    def tell(self, event: Event, chance: float = 0.5) -> list[Action]:
        """Let one event happen, and check all that was ordered."""
        before = self.state
        self.state, actions = step(self.plan, before, event, self.now, chance)
        self.log.append((self.now, event, tuple(actions)))
        self._take(event, actions)
        for action in actions:
            self._check(action, event)
        self._nobody_is_forgotten()
        return actions

    def all_is_well(self) -> None:
        """Check what must hold once nothing more is to come and no fault happens."""
        for name, child in self.seen.items():
            if self.ending:
                assert not child.life, f"{name} outlives the end"
                continue
            assert child.life == "running" or child.held or child.ended, f"{name} is not running"
            assert not any((child.told, child.doomed)), f"{name} was to be stopped"
            assert child.child.restart != "permanent" or not child.ended, f"{name} is permanent"

    # --- what happened, and who must go down with it

    def _take(self, event: Event, actions: Sequence[Action]) -> None:
        if isinstance(event, Begin):
            self.begun = True
        elif isinstance(event, End):
            self._all_go()
        elif isinstance(event, Exited):
            self._exited(self.seen[event.name], event.how, actions)
        elif isinstance(event, Faltered):
            self._faltered(self.seen[event.name], actions)
        elif isinstance(event, Revived | Restarted) and self.down and self.seen[event.name].held:
            self._rises(self.seen[event.name])
        else:
            child = self.seen[event.name]
            if isinstance(event, Started) and child.life:
                child.life = "running"
            elif isinstance(event, Due):
                child.timers = [at for at in child.timers if at > self.now]
            elif isinstance(event, Served) and child.life and not (child.told or child.doomed):
                assert (Recovered(event.name, child.since_served) in actions) == (
                    (child.lives > 1 or child.since_served > 0) and not child.served
                ), f"a restart of {event.name} is done exactly once"
                child.served, child.since_served = True, 0
            elif (
                isinstance(event, Revived | Restarted)
                and (child.held or child.ended)
                and not (self.ending or self.down)
            ):
                self._revived(child)
            elif isinstance(event, Restarted) and not child.held:
                child.by_hand = True
                child.timers.clear()

    def _exited(self, child: Seen, how: Exit, actions: Sequence[Action]) -> None:
        assert child.life, "the shell tells one exit for each life"
        judged = not (child.told or child.doomed)
        name, child.life = child.child.name, ""
        child.told = child.doomed = False
        if not judged:
            assert not any(isinstance(action, Wait | Hold) for action in actions)
            assert (Ended(name) in actions) == (child.leaves and not self.ending)
            child.leaves = False
            return
        child.since_served += how != "bus-lost"
        comes_back = {
            "permanent": True,
            "transient": how != "normal",
            "temporary": False,
        }[child.child.restart]
        assert (Ended(name) in actions) == (not comes_back)
        if comes_back and self._goes_on(child, actions, counts=how != "bus-lost"):
            self._goes_down_with(name)

    def _faltered(self, child: Seen, actions: Sequence[Action]) -> None:
        if not child.life or child.told or child.doomed:
            assert not actions
            return
        child.since_served, child.served = child.since_served + 1, False
        mends = [action for action in actions if isinstance(action, Mend)]
        if child.child.restart == "temporary":
            child.leaves = True
            assert not mends
        else:
            goes_on = self._goes_on(child, actions, counts=True)
            assert [action.name for action in mends] == ([child.child.name] if goes_on else [])
            assert all(0.0 <= action.seconds <= 36.0 for action in mends)

    def _goes_on(self, child: Seen, actions: Sequence[Action], *, counts: bool) -> bool:
        """Whether no budget is spent by this crash."""
        name = child.child.name
        held = any(isinstance(action, Hold) and action.name == name for action in actions)
        spent = counts and _within(child.restarts, self.now, child.child.intensity) == child.child.intensity.most
        assert not spent or held == (self.plan.on_spent == "hold" or self.plan.top), f"the budget of {name}"
        if spent:
            if self.plan.on_spent == "escalate":
                self._give_up()
            return False
        if counts:
            child.restarts.append(self.now)
            if self.plan.intensity is not None:
                if _within(self.group, self.now, self.plan.intensity) == self.plan.intensity.most:
                    assert held == self.plan.top
                    self._give_up()
                    return False
                self.group.append(self.now)
        assert not held, f"{name} is held, and no budget is spent"
        return True

    def _goes_down_with(self, name: str) -> None:
        at = self.order.index(name)
        for other in {"one_for_one": [], "rest_for_one": self.order[at + 1 :], "one_for_all": self.order}[
            self.plan.strategy
        ]:
            child = self.seen[other]
            if child.life and not (child.told or child.doomed):
                child.doomed, child.leaves = True, child.child.restart == "temporary"

    def _give_up(self) -> None:
        self.given_up = True
        if not self.plan.top:
            self._all_go()
            return
        self.down = True
        for child in self.seen.values():
            child.fell = not (child.held or child.ended or child.leaves)
            child.doomed = bool(child.life) and not child.told

    def _rises(self, named: Seen) -> None:
        self.down = self.given_up = self.escalated = False
        self.group = []
        for child in self.seen.values():
            if child.fell or child is named:
                self._revived(child)
                child.first = True

    def _revived(self, child: Seen) -> None:
        child.held = child.fell = child.ended = False
        child.restarts, child.since_served, child.by_hand = [], 0, True

    def _all_go(self) -> None:
        if not self.ending:
            self.ending, self.down = True, False
            for child in self.seen.values():
                child.doomed = bool(child.life) and not child.told

    # --- what was ordered

    def _check(self, action: Action, event: Event) -> None:
        assert not self.escalated or self.plan.top, "nothing is ordered after it was given up"
        if isinstance(action, Escalate):
            assert self.given_up
            assert not self.escalated
            assert self.plan.top or not any(child.life for child in self.seen.values()), "first all are stopped"
            self.escalated = True
            return
        child = self.seen[action.name]
        assert not child.ended
        if isinstance(action, Start):
            self._check_start(child)
        elif isinstance(action, Stop):
            self._check_stop(child, event)
        elif isinstance(action, Wait):
            assert not child.life
            assert 0.0 < action.seconds <= 36.0
            child.timers.append(self.now + action.seconds)
        elif isinstance(action, Hold):
            by_hand = isinstance(event, Held) and event.name == action.name
            assert not child.held or (child.fell and by_hand)
            assert not self.down or child.fell, f"{action.name} did not fall"
            child.held, child.by_hand, child.fell = True, False, child.fell and not by_hand
            child.timers.clear()
        elif isinstance(action, Ended):
            assert not child.life
            child.ended = True

    def _check_start(self, child: Seen) -> None:
        name = child.child.name
        assert self.begun
        assert not self.ending, f"{name} is started while all are stopped"
        assert not self.down, f"{name} is started while all are held"
        assert child.owed, f"two lives of {name}, or one of a held or ended child"
        assert not any(at > self.now + TRIFLE for at in child.timers), f"{name} does not wait for its backoff"
        child.timers.clear()
        assert child.child.restart != "temporary" or not child.lives or child.by_hand
        self._nothing_bars(name)
        child.life, child.lives, child.served, child.by_hand = "starting", child.lives + 1, False, False
        child.first = False

    def _nothing_bars(self, name: str) -> None:
        at = self.order.index(name)
        before = [self.seen[other] for other in self.order[:at]]
        after = [self.seen[other] for other in self.order[at + 1 :]]
        if self.plan.strategy == "one_for_one":
            if self.seen[name].first and not self.plan.together:
                assert not any(other.life == "starting" and not other.told for other in before), f"{name}: order"
                assert not any(other.life and other.first and not other.held for other in before), f"{name}: order"
                assert not any(other.owed and not other.timers and other.first for other in before), f"{name}: order"
            return
        assert not any(other.owed for other in before), f"{name} is started before one that comes first"
        assert not any(other.life == "starting" for other in before + after), f"{name}: one start at a time"
        assert not any(other.told or other.doomed for other in before + after), f"{name}: first all are stopped"
        if self.plan.strategy == "one_for_all":
            assert not any(other.owed and other.timers for other in after), f"{name} is started during a backoff"

    def _check_stop(self, child: Seen, event: Event) -> None:
        name = child.child.name
        assert child.life, f"{name} has no life to stop"
        assert not child.told, f"{name} is told twice"
        alone = isinstance(event, Held | Restarted | Faltered) and event.name == name and not child.doomed
        assert child.doomed or alone, f"nobody asked to stop {name}"
        if child.doomed:
            after = [self.seen[other] for other in self.order[self.order.index(name) + 1 :]]
            assert not any(other.told or other.doomed for other in after), f"{name}: reverse order"
        child.told = True

    # --- where everybody is

    def _nobody_is_forgotten(self) -> None:
        if not self.begun:
            return
        children = self.seen.values()
        if self.ending:
            going = [child for child in children if child.life]
            assert self.state.over == (not going)
            assert self.plan.top or self.escalated == (self.given_up and not going)
            assert not going or any(child.told for child in going), "nobody is being stopped"
            return
        moving = any(child.told or child.life == "starting" for child in children)
        waiting = [child for child in children if child.owed and child.timers]
        for child in children:
            assert not child.doomed or moving, f"{child.child.name} is to be stopped, and is not"
            assert not child.owed or moving or waiting, f"{child.child.name} is forgotten"
            assert not self.down or child.held or child.ended or child.life, f"{child.child.name} is not held"
        assert self.state.settled == (not moving and not any(child.owed for child in children))


def _within(times: Sequence[float], now: float, intensity: Intensity) -> int:
    return sum(now - at < intensity.within for at in times)
