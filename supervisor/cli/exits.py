"""Exit codes: what a script may rely on."""

import sys
from collections.abc import Awaitable, Callable
from enum import IntEnum
from typing import NoReturn, TypeVar

T = TypeVar("T")


class Exit(IntEnum):
    """How a command ended."""

    DONE = 0
    USAGE = 2
    NO_DAEMON = 3
    REFUSED = 4
    NO_ANSWER = 5
    FAILED = 6


_BY_CODE = {
    "bad-fleet": Exit.USAGE,
    "budget-spent": Exit.REFUSED,
    "invalid-name": Exit.USAGE,
    "state-unusable": Exit.USAGE,
    "daemon-runs": Exit.USAGE,
    "no-such-daemon": Exit.NO_DAEMON,
    "bus-unavailable": Exit.NO_DAEMON,
    "permission-denied": Exit.REFUSED,
    "no-author": Exit.REFUSED,
    "bad-person-key": Exit.USAGE,
    "held": Exit.REFUSED,
    "not-up": Exit.REFUSED,
    "mailbox-full": Exit.REFUSED,
    "queue-full": Exit.REFUSED,
    "not-in-quarantine": Exit.USAGE,
    "unknown-model": Exit.USAGE,
    "model-refused": Exit.REFUSED,
    "no-such-episode": Exit.USAGE,
    "invalid-episode": Exit.USAGE,
    "backup-damaged": Exit.REFUSED,
    "outcome-unheard": Exit.NO_ANSWER,
    "not-stored": Exit.NO_ANSWER,
    "deadline-exceeded": Exit.NO_ANSWER,
}


def exit_code(error_code: str) -> Exit:
    """Return the exit code for a typed error; any other one was an answer: 6."""
    return _BY_CODE.get(error_code, Exit.FAILED)


def run(work: Callable[[], Awaitable[T]]) -> T:
    """Run the async body of a command; a typed error ends it with its text and its exit code."""
    import anyio

    from callboard.errors import CallboardError

    try:
        return anyio.run(work)
    except CallboardError as error:
        fail(error)
    except BaseExceptionGroup as group:
        errors = _leaves(group)
        if not all(isinstance(error, CallboardError) for error in errors):
            raise  # a fault of our own must be seen whole, whatever else went wrong with it
        fail(errors[0])


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


def plain(text: str) -> str:
    """Return what an agent or a peer said without what would command a terminal."""
    return "".join(char if char.isprintable() or char == "\n" else "\N{REPLACEMENT CHARACTER}" for char in text)


def fail(error: object) -> NoReturn:
    """Print a typed error and end with its exit code."""
    code = str(getattr(error, "code", ""))
    print(f"callboard: {code}: {plain(str(error))}", file=sys.stderr)  # noqa: T201 - a command's output
    sys.exit(exit_code(code))
