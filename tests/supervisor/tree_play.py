"""One supervisor played by hand: events in, orders out as words."""

from typing import Literal

from callboard.actors import Intensity, Restart
from callboard.supervisor.node import State, fresh
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
    Hold,
    Mend,
    Plan,
    Recovered,
    Served,
    Start,
    Started,
    Stop,
    Strategy,
    Wait,
)
from callboard.supervisor.restart import Exit
from callboard.supervisor.tree import step

OFTEN = Intensity(most=100, within=1000.0)
NEVER = Intensity(most=0)
STRATEGIES: tuple[Strategy, ...] = ("one_for_one", "one_for_all", "rest_for_one")


def plan(
    names: str, strategy: Strategy = "one_for_one", *, restart: Restart = "permanent", each: Intensity = OFTEN,
    intensity: Intensity | None = None, on_spent: Literal["hold", "escalate"] = "hold", top: bool = False,
) -> Plan:  # fmt: skip
    """Return a plan of children with names of one letter, alike in all else; `each` is the budget of each."""
    children = tuple(Child(name=name, restart=restart, intensity=each) for name in names)
    return Plan(children=children, strategy=strategy, intensity=intensity, on_spent=on_spent, top=top)


class Play:
    """Keeps state and time; each verb returns what was ordered, such as ``stop c, start a``."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.now, self.chance = plan, 100.0, 0.5
        self.state: State = fresh(plan)
        self.waits: dict[str, float] = {}
        self.why = ""

    def tell(self, *events: Event) -> str:
        said: list[str] = []
        for event in events:
            self.state, actions = step(self.plan, self.state, event, self.now, self.chance)
            said += [self._say(action) for action in actions]
        return ", ".join(said)

    def _say(self, action: Action) -> str:
        match action:
            case Start() | Stop() | Ended():
                return f"{type(action).__name__.lower()} {action.name}"
            case Wait():
                self.waits[action.name] = action.seconds
                return f"wait {action.name}"
            case Mend():
                self.waits[action.name] = action.seconds
                return f"mend {action.name}"
            case Hold():
                self.why = action.why
                return f"hold {action.name}"
            case Recovered():
                return f"recovered {action.name} {action.crashes}"
            case Escalate():
                self.why = action.why
                return "escalate"

    def up(self) -> "Play":
        """Begin, and let each child start."""
        self.tell(Begin())
        for child in self.plan.children:
            self.started(child.name)
        return self

    def started(self, names: str) -> str:
        return self.tell(*[Started(name) for name in names])

    def crash(self, name: str, how: Exit = "crashed") -> str:
        return self.tell(Exited(name, how, "boom"))

    def falter(self, name: str) -> str:
        """Let a part of it crash."""
        return self.tell(Faltered(name, "boom"))

    def gone(self, name: str) -> str:
        """Let one that was told to stop end in order."""
        return self.tell(Exited(name, "normal"))

    def due(self, name: str) -> str:
        self.now += self.waits.pop(name)
        return self.tell(Due(name))

    def served(self, name: str) -> str:
        return self.tell(Served(name))

    def end(self) -> str:
        return self.tell(End())

    def settle(self) -> "Play":
        """Let every start, stop and backoff that is under way come to its end."""
        while not self.state.settled:
            for kid in self.state.kids:
                if kid.phase == "starting":
                    self.started(kid.name)
                elif kid.phase == "stopping":
                    self.gone(kid.name)
                elif kid.phase == "waiting":
                    self.due(kid.name)
        return self

    @property
    def phases(self) -> str:
        """Such as ``a running, b held``."""
        return ", ".join(f"{kid.name} {kid.phase}" for kid in self.state.kids)
