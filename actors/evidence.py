"""Where a suspended coroutine stands: the evidence against a handler that does not come further."""

import sysconfig
import traceback
from collections.abc import Sequence
from typing import Any, Final

from callboard.printable import printable

_FRAMES: Final = ("cr_frame", "gi_frame", "ag_frame")
_INNER: Final = ("cr_await", "gi_yieldfrom", "ag_await")
_OTHERS: Final = (sysconfig.get_path("stdlib"), "site-packages", "dist-packages")
DEEPEST: Final = 50
TRACED: Final = 20


def stack_of(coroutine: Any) -> list[str]:
    """Return ``file:line in function`` for each frame of a coroutine, outermost first."""
    lines: list[str] = []
    inner = coroutine
    while (frame := _first(inner, _FRAMES)) is not None and len(lines) < DEEPEST:
        lines.append(f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_qualname}")
        inner = _first(inner, _INNER)
    return lines


def place_of(stack: Sequence[str]) -> str:
    """Return the innermost line of `stack` that is the user's own, not the standard library's or a package's."""
    own = [line for line in stack if not any(part in line for part in _OTHERS)]
    return (own or list(stack) or ["its end"])[-1]


def frames_of(error: BaseException) -> list[str]:
    """Return ``file:line in function`` of the innermost frames of a traceback, outermost first."""
    found = traceback.extract_tb(error.__traceback__)[-TRACED:]
    return [f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in found]


def _first(thing: Any, names: tuple[str, ...]) -> Any:
    return next((found for name in names if (found := getattr(thing, name, None)) is not None), None)


def in_short(error: BaseException) -> str:
    """Return an error's class and words, at most 500 characters."""
    return printable(f"{type(error).__name__}: {error}"[:500])
