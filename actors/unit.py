"""One task in hand: what it has learned, changed and said, until all of it is committed at once or forgotten.

Steps are the exception. A result that was expensive, or had an effect outside, is kept at once under the task's id and
the step's name, so that another try of the task takes it from there. That is only sound while the code asks for the
same steps: whatever differs is an error, never a silent rerun. An *act* is claimed before it begins and settled after
it: if the process dies in between, nobody knows whether it happened, and the next try says so and does not do it again.
"""

import hashlib
import inspect
import typing
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

import anyio
import anyio.lowlevel
import msgspec

from callboard.bus import encode
from callboard.store import Known, MemoryLayer, Outgoing, Step, StoreStuck, TaskLog

from .errors import ActUnsettled, BadActor, DuplicateStep, NotDone, StepsChanged

T = TypeVar("T")

WRITE_WITHIN: Final = 30.0
RESULT_MOST: Final = 1024 * 1024
"""Bytes that a step's result may have: the journal is for answers, not for archives."""
STEPS_MOST: Final = 1000
NAME_MOST: Final = 100


async def surely(write: Awaitable[T]) -> T:
    """Let a write end though its task is cancelled meanwhile: what was done must be known to the next try.

    Raises StoreStuck after half a minute.
    """
    with anyio.move_on_after(WRITE_WITHIN, shield=True):
        return await write
    raise StoreStuck(f"the file of an actor was not written to within {WRITE_WITHIN:.0f} s")


class Unit:
    """For one try of one task."""

    def __init__(self, task: str, log: TaskLog, memory: MemoryLayer, known: Known) -> None:
        self.task, self.memory = task, memory
        self._log, self._known = log, known
        self._used: set[str] = set()
        self._outgoing: list[Outgoing] = []

    def name_for_next(self, actor: str) -> str:
        """Return an id for what it enqueues next: the same at each try, and of no other task, actor or user."""
        seed = f"{actor}\0{self.task}\0{len(self._outgoing)}"
        return f"of-{hashlib.sha256(seed.encode()).hexdigest()[:40]}"

    def name_of_act(self, name: str) -> str:
        """Return a name for an act that a model asks for: the same at each try, and new for each time in one."""
        taken = sum(used == name or used.startswith(f"{name}#") for used in self._used)
        return f"{name}#{taken + 1}" if taken else name

    def say(self, outgoing: Outgoing) -> None:
        """Have a message leave after the commit."""
        self._outgoing.append(outgoing)

    @property
    def says_something(self) -> bool:
        """Whether messages leave after the commit."""
        return bool(self._outgoing)

    async def commit(self) -> None:
        """Make it all durable; raises what :meth:`~callboard.store.TaskLog.commit` does, and StepsChanged."""
        if unused := self._known.steps.keys() - self._used:
            names = ", ".join(sorted(unused))
            raise StepsChanged(f"an earlier try of task {self.task} took steps that this one did not: {names}")
        await surely(self._log.commit(self.task, self.memory, self._outgoing))

    async def step(
        self, name: str, fn: Callable[..., Awaitable[Any]], args: Sequence[Any], *, returns: Any, act: bool
    ) -> Any:
        """Return the result of ``fn(*args)``: of an earlier try if there is one, else of calling it now.

        Raises:
            DuplicateStep: this try has taken a step of that name.
            StepsChanged: an earlier try took a step of that name with other arguments, or of the other kind.
            ActUnsettled: an earlier try began this act, and nobody knows whether it was done.
            BadActor: the name, an argument or the result cannot be kept.

        """
        self._enter(name)
        digest = _digest(name, args)
        found = self._known.steps.get(name)
        if found is not None:
            return self._replayed(name, found, digest, returns=returns, act=act)
        if act:
            await self._claim(name, digest)
        data = await self._run(name, fn, args, act=act)
        await surely(self._log.step(self.task, name, Step(act, digest, data)))
        return _unpacked(name, data, returns)

    def _enter(self, name: str) -> None:
        if not 0 < len(name) <= NAME_MOST or not name.isprintable():
            raise BadActor(f"{name[:NAME_MOST]!r} is no name of a step: 1 to {NAME_MOST} printable characters")
        if name in self._used:
            raise DuplicateStep(f"task {self.task} takes two steps named {name!r}: give each a name of its own")
        if len(self._used) >= STEPS_MOST:
            raise BadActor(f"task {self.task} takes more than {STEPS_MOST} steps: make several tasks of it")
        self._used.add(name)

    async def _claim(self, name: str, digest: str) -> None:
        """Note that an act is about to begin. Who is stopped meanwhile has not begun it, and takes that back."""
        try:
            await surely(self._log.step(self.task, name, Step(True, digest, None)))
            await anyio.lowlevel.checkpoint_if_cancelled()
        except (StoreStuck, anyio.get_cancelled_exc_class()):  # stuck, it may be written yet
            await self._unclaim(name)
            raise

    async def _unclaim(self, name: str) -> None:
        await surely(self._log.unclaim(self.task, name))
        self._used.discard(name)

    def _replayed(self, name: str, found: Step, digest: str, *, returns: Any, act: bool) -> Any:
        if found.act != act or found.args != digest:
            what = "arguments" if found.act == act else "kind"
            raise StepsChanged(f"an earlier try of task {self.task} took step {name!r} with another {what}")
        if found.result is None:
            text = f"act {name!r} of task {self.task} was begun by a try that did not end: it may have been done"
            raise ActUnsettled(text)
        return _unpacked(name, found.result, returns)

    async def _run(self, name: str, fn: Callable[..., Awaitable[Any]], args: Sequence[Any], *, act: bool) -> bytes:
        """Return the result, packed. What raised may be done again; an act only if it says that it did nothing."""
        try:
            return _packed(name, await fn(*args))
        except BaseException as error:
            if act and isinstance(error, NotDone):
                await self._unclaim(name)
            elif not act:
                self._used.discard(name)
            raise


def returned_by(fn: Callable[..., Any]) -> Any:
    """Return the type that `fn` says it returns; Any if it does not."""
    target = fn if inspect.isroutine(fn) else getattr(fn, "func", fn)
    try:
        found = typing.get_type_hints(target).get("return", Any)
    except (NameError, TypeError, AttributeError):
        return Any
    return type(None) if found is None else found


def _digest(name: str, args: Sequence[Any]) -> str:
    try:
        return hashlib.sha256(encode(list(args))).hexdigest()[:32]
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise BadActor(f"an argument of step {name!r} cannot be written down: {error}") from error


def _packed(name: str, value: Any) -> bytes:
    try:
        data = encode(value)
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise BadActor(f"the result of step {name!r} cannot be kept: {error}; return plain data or structs") from error
    if len(data) > RESULT_MOST:
        raise BadActor(f"the result of step {name!r} has {len(data)} bytes: {RESULT_MOST} can be kept")
    return data


def _unpacked(name: str, data: bytes, returns: Any) -> Any:
    try:
        return msgspec.msgpack.decode(data, type=returns)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, TypeError) as error:
        raise StepsChanged(f"the kept result of step {name!r} is no {returns!r}: {error}") from error
