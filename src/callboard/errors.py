"""The one base of every exception Callboard raises, sorted by whose fault it is.

``CallerError``: you asked for something that cannot be. Change the call.
``PeerError``: the actor on the other side could not or would not. Look at that actor.
``WorldError``: the network, the disk or a process failed. Retry, or look at the machine.

Every error can cross the wire: it travels as its ``code`` (the class name in kebab-case), its text and a flat
``detail``, and is rebuilt by :func:`from_wire` as the same class on the other side.
"""

import re
from typing import ClassVar, Final

Detail = dict[str, str | int | float | bool | None]

_HUMPS: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_BY_CODE: dict[str, "type[CallboardError]"] = {}


def kebab(class_name: str) -> str:
    """Return a class name in kebab-case: ``MailboxFull`` becomes ``mailbox-full``."""
    return _HUMPS.sub("-", class_name).lower()


class CallboardError(Exception):
    """Base of all. ``text`` says what, where and what to do; ``detail`` holds the same as flat values."""

    code: ClassVar[str] = "callboard-error"

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.code = kebab(cls.__name__)
        _BY_CODE[cls.code] = cls

    def __init__(self, text: str, /, **detail: str | int | float | bool | None) -> None:
        super().__init__(text)
        self.text = text
        self.detail: Detail = detail

    def __reduce__(self) -> tuple[object, ...]:
        return (from_wire, (self.code, self.text, self.detail))


class CallerError(CallboardError):
    """The call itself is wrong; the same call will fail again."""


class PeerError(CallboardError):
    """The actor that was asked refused or failed."""


class WorldError(CallboardError):
    """Something outside the program failed: network, disk, process, clock."""


class UnknownError(PeerError):
    """A peer answered with an error code that this version does not know."""


class InvalidName(CallerError):
    """A name does not pass the name gate."""


def from_wire(code: str, text: str, detail: Detail | None = None) -> CallboardError:
    """Rebuild an error from its wire form; an unknown code becomes :class:`UnknownError` and keeps its text."""
    found = _BY_CODE.get(code)
    if found is None:
        return UnknownError(f"{code}: {text}", **(detail or {}))
    error = found.__new__(found)
    CallboardError.__init__(error, text, **(detail or {}))
    return error
