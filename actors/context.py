"""What a handler may do, and the facts of the message in its hand.

The one place where an actor's grant is enforced: everything an agent does to others goes through here.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol

from callboard import names
from callboard.bus import Endpoint
from callboard.clock import Clock
from callboard.printable import printable
from callboard.store import WorkingMemory

from .errors import BadActor, PermissionDenied
from .grant import Grant, Verb
from .hand import InHand, Wait
from .letter import Letter
from .memory import Memory
from .message import Message
from .remembering import LongTerm, Remembering
from .run import Run
from .speaking import Cause, Heads, Speaker
from .target import target_name
from .terms import Call
from .work import Work

if TYPE_CHECKING:
    from .actor import Actor
    from .handlers import Handler
    from .llm.asker import Asker
    from .llm.llm import Llm
    from .llm.minds import Minds

WAIT_MOST: Final = 86_400.0


class Down(Message):
    """What a watcher receives when the actor it watches has died, is held, or has ended."""

    actor: str
    why: str


class Services(LongTerm, Protocol):
    """What a context needs of the cell that hosts its actor."""

    name: str
    grant: Grant
    endpoint: Endpoint
    clock: Clock
    work: Work

    @property
    def private(self) -> bool:
        """Whether only who is marked for it may see what the actor says."""
        ...

    def minds(self) -> "Minds":
        """Return what the actors of the cell share when they ask models."""
        ...

    async def open_memory(self) -> WorkingMemory:
        """Return the actor's working memory, opening its file on first use."""
        ...

    async def spawn(self, actor: "type[Actor]", *, name: str, may: Grant | None) -> str:
        """Start a child and return its name."""
        ...

    def denied(self, error: PermissionDenied) -> None:
        """Record what an actor tried and may not."""
        ...

    def watch(self, name: str) -> None:
        """Send :class:`Down` when the actor `name` goes down."""
        ...


class Context(Speaker, Remembering):
    """Given to each handler and hook; valid while that call runs."""

    __slots__ = ("_hand", "_services")

    def __init__(self, services: Services, hand: InHand | None) -> None:
        # Two stores and no more: one is made for each message.
        self._services = services
        self._hand = hand

    @property
    def _endpoint(self) -> Endpoint:  # type: ignore[override]  # only read: a slot is written for each message
        return self._services.endpoint

    @property
    def _name(self) -> str:  # type: ignore[override]  # the same
        return self._services.name

    @property
    def _heads(self) -> Heads:  # type: ignore[override]  # the same
        hand = self._hand
        if hand is None:
            return Heads()
        if hand.heads is None:
            hand.heads = Heads()
        return hand.heads  # type: ignore[no-any-return]  # a hand does not know who speaks with it

    @property
    def _letter(self) -> Letter | None:
        return None if self._hand is None else self._hand.letter

    def _permit(self, verb: Verb, name: str, given: object = None) -> None:
        services = self._services
        if services.grant.allows(verb, name):
            return
        try:
            services.grant.check(services.name, verb, name, given=given, now=services.clock.now())
        except PermissionDenied as error:
            services.denied(error)
            raise

    def _cause(self) -> Cause:
        hand = self._hand
        if hand is None:
            return _OWN_CAUSE
        envelope = hand.letter.envelope
        return Cause(envelope.id, envelope.chain, envelope.hops, hand.until, self._believed(), envelope.trace)

    def _doubt(self) -> None:
        if self._hand is not None:
            self._hand.doubt(0)

    def _begin_wait(self, on: str, up_to: float) -> Wait | None:
        if self._hand is None:
            return None
        wait = Wait(printable(on), self._services.clock.monotonic() + up_to)
        self._hand.begin_wait(wait)
        return wait

    def _end_wait(self, wait: Wait | None) -> None:
        if self._hand is not None and wait is not None:
            self._hand.end_wait(wait, self._services.clock.monotonic())

    @contextmanager
    def waiting(self, on: str, *, up_to: float) -> Iterator[None]:
        """Declare a wait on a model, a tool or a person for the time of a ``with`` block.

        For `up_to` seconds the supervisor leaves this handler alone, however quiet it is; after that it counts as
        stalled. ``ctx.ask`` declares its own wait. In ``started`` and ``stopping`` this declares nothing: they have
        limits of their own.

        Raises:
            BadActor: `up_to` is not more than 0 and at most a day.

        """
        if not 0 < up_to <= WAIT_MOST:
            raise BadActor(f"a wait of {up_to!r} s on {on!r}: more than 0, at most {WAIT_MOST:.0f}", actor=self._name)
        wait = self._begin_wait(on, up_to)
        try:
            yield
        finally:
            self._end_wait(wait)

    def progress(self, doing: str = "") -> None:
        """Say that this handler has come further, and what it does now; ``callboard ps`` shows it."""
        if self._hand is not None:
            self._hand.progress(self._services.clock.monotonic(), printable(doing[:200]))

    @property
    def memory(self) -> Memory:
        """The actor's working memory; what is put here outlives a restart."""
        return Memory(self._services.open_memory)

    @property
    def llm(self) -> "Llm":
        """The models of the fleet file's ``[llm]``, behind its limits and budgets."""
        from .llm.llm import Llm  # not at each start: few ask a model at once

        return Llm(self._services.minds(), self._asker())

    def _asker(self) -> "Asker":
        from .llm.asker import Asker

        hand, services = self._hand, self._services
        envelope = None if hand is None else hand.letter.envelope
        return Asker(
            name=services.name, message=envelope.id if envelope else "", tree=envelope.chain if envelope else "",
            private=services.private, until=hand.until if hand else 0.0,
            trust=self._believed if hand is not None else _not_at_all,
            waiting=lambda on, up_to: self.waiting(on, up_to=min(up_to, WAIT_MOST)), doubt=self._doubt_to,
            step=self.step, permit=self._permit_act, act=self._act_for_model, refused=self._refused_tool,
        )  # fmt: skip

    def _doubt_to(self, trust: int) -> None:
        if self._hand is not None:
            self._hand.doubt(trust)

    def _refused_tool(self, name: str, why: str) -> None:
        error = PermissionDenied(f"{self._name} may not act {name!r} for a model: {why}", actor=self._name, name=name)
        self._services.denied(error)

    async def _act_for_model(self, name: str, fn: Callable[..., Awaitable[Any]], args: Sequence[Any]) -> Any:
        """Do what a model named, if the grant allows it with these arguments."""
        self._permit_act(name, fn, args)
        return await fn(*args)

    def _permit_act(self, name: str, fn: Callable[..., Awaitable[Any]], args: Sequence[Any]) -> None:
        self._permit("act", names.checked(name, "actor"), Call(fn, tuple(args)))

    async def spawn(self, actor: "type[Actor]", *, name: str | None = None, may: Grant | None = None) -> str:
        """Start a child actor in this cell, supervised by this actor, and return its name.

        The child may never do more than its parent; `may` defaults to the child class's own grant. Spawning the same
        class under the same name again returns the child that is there.

        Raises:
            PermissionDenied: the grant does not name the class, or the child would get more than its parent has.
            InvalidName: `name` does not pass the name gate.
            BadActor: the name is taken by somebody else.

        """
        self._permit("spawn", actor.name)
        try:
            return await self._services.spawn(actor, name=names.checked(name or actor.name, "actor"), may=may)
        except PermissionDenied as error:
            self._services.denied(error)
            raise

    def watch(self, target: "type[Actor] | Handler[Message, Message | None] | str") -> None:
        """Ask for a :class:`Down` message when `target` dies, is held or ends; this actor needs a handler for it."""
        self._services.watch(target_name(target))

    async def step(
        self,
        name: str,  # noqa: ARG002 - in a task
        fn: Callable[..., Awaitable[Any]],
        *args: Any,
        returns: Any = None,  # noqa: ARG002 - in a task
    ) -> Any:
        """Return the result of ``fn(*args)``; in a task, of an earlier try of it if there is one.

        So a model is not paid twice, and an effect outside does not happen twice, when a task is tried again. The
        result is kept under the task and `name`, with a digest of `args`, until the task is done. Outside a task
        nothing is kept: `fn` is called.

        Args:
            name: of the step, once in each task.
            fn: an async function; its return annotation says what a kept result becomes, unless `returns` does.
            args: what it is called with: plain data or structs.
            returns: the type of the result.

        Raises:
            DuplicateStep: this task has taken a step of that name.
            StepsChanged: an earlier try took it with other arguments, or its result is of another type by now.
            BadActor: the arguments or the result (at most 1 MiB) cannot be kept.

        """
        return await fn(*args)

    async def act(
        self,
        name: str,
        fn: Callable[..., Awaitable[Any]],
        *args: Any,
        returns: Any = None,  # noqa: ARG002 - in a task
    ) -> Any:
        """Do something that cannot be undone, as a :meth:`step` that is claimed before and settled after.

        If the process dies in between, nobody knows whether it was done: the next try of the task raises ActUnsettled,
        and the task goes to the quarantine for a person. `fn` may raise NotDone if it certainly did nothing.

        Raises PermissionDenied if the grant does not name `name`, ActUnsettled, and what :meth:`step` does.
        """
        self._permit("act", names.checked(name, "actor"), Call(fn, args))
        return await fn(*args)

    def _in_hand(self) -> Letter:
        letter = self._letter
        if letter is None:
            raise BadActor(f"{self._name} has no message in hand: started() and stopping() run between messages")
        return letter

    @property
    def message_id(self) -> str:
        """The id of the message in hand."""
        return self._in_hand().envelope.id

    @property
    def correlation_id(self) -> str:
        """The id of the first message of the chain this one belongs to."""
        return self._in_hand().envelope.chain

    @property
    def sender(self) -> str:
        """The name of the actor that sent it; empty for an outsider."""
        return self._in_hand().envelope.sender

    @property
    def sender_cell(self) -> str:
        """The cell that it came from, which the server vouches for; empty at the front door."""
        return self._in_hand().cell

    @property
    def deadline(self) -> float | None:
        """Unix seconds after which nobody waits for the reply; None if nobody said."""
        self._in_hand()
        if self._hand is None or not self._hand.until:
            return None
        clock = self._services.clock
        return clock.now() + self._hand.until - clock.monotonic()

    @property
    def attempt(self) -> int:
        """Which try of a task this is, from 1 on; 1 for all else."""
        return max(1, self._in_hand().tries)

    @property
    def key(self) -> str:
        """The conversation that a task belongs to; empty if none."""
        return self._in_hand().envelope.key

    @property
    def trust(self) -> int:
        """How far the message is believed, and what was recalled for it: 0 external, 1 internal, 2 owner."""
        self._in_hand()
        return self._believed()


_OWN_CAUSE: Final = Cause(trust=1)


def _not_at_all() -> int:
    """Between messages nobody keeps account of what is to be believed."""
    return 0


class RunContext(Context):
    """The context of a message that came in a batch: what it is, is looked up only when the handler asks."""

    __slots__ = ("_place", "_run")

    def __init__(self, services: Services, run: Run, place: int) -> None:
        self._services = services
        self._run = run
        self._place = place

    @property
    def _hand(self) -> InHand:  # type: ignore[override]  # the same as in the base, made on demand
        return self._services.work.at(self._run, self._place)
