"""A call of a model as the ledger has it."""

import math
from typing import Any, Final, Literal

import msgspec

from ..errors import InvalidLimit
from .money import check_amount

RAW_MOST: Final = 64 * 1024
"""Bytes that are kept of a wrong answer."""

LOST: Final = "lost/"
"""What the ids begin with that the office itself gives: of what was lost with a lease."""

How = Literal["ok", "repaired", "wrong", "cut", "cancelled", "failed", "lost"]
_COUNTED: Final = ("input", "output", "cached", "reasoning", "cost", "input_cost", "worst", "lease", "chars")


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A call, or an answer from the cache. Money is in nano-dollars, times are in seconds."""

    id: str
    """Told twice under the same id, it counts once."""
    at: float
    """Unix seconds."""
    cell: str = ""
    """Written down is the cell that settles, whatever this says."""
    actor: str
    message: str = ""
    tree: str = ""
    tenant: str = ""
    asked: str = ""
    """The model that was asked in the end, by the name that actors use; it may be a fallback or a cheaper one."""
    endpoint: str = ""
    served: str = ""
    """The model as the endpoint named it."""
    prompt: str = ""
    version: str = ""
    input: int = 0
    """Tokens, with those that the endpoint had cached."""
    output: int = 0
    cached: int = 0
    reasoning: int = 0
    cost: int = 0
    input_cost: int = 0
    """What of the cost was for the input; 0 where that is not known."""
    worst: int = 0
    """What it could have cost."""
    seconds: float = 0.0
    first: float = 0.0
    """Seconds to the first piece of the answer."""
    cache: Literal["", "hit"] = ""
    key: bytes = b""
    """Of the answer in the cache."""
    how: How = "ok"
    why: str = ""
    """The code of an error."""
    lease: int = 0
    chars: int = 0
    """Bytes of the prompt, forms and tools included."""
    raw: str = ""
    """A wrong answer; cut at 64 KiB."""


COLUMNS: Final = Entry.__struct_fields__


def checked(entry: Entry) -> Entry:
    """Return the entry if it can be written down; raise InvalidLimit."""
    if not entry.id or entry.id.startswith(LOST):
        raise InvalidLimit(f"the id of an entry is not empty and does not begin with {LOST!r}, unlike {entry.id!r}")
    for name in _COUNTED:
        check_amount(f"{name} of entry {entry.id!r}", getattr(entry, name))
    if not (math.isfinite(entry.at) and math.isfinite(entry.seconds) and math.isfinite(entry.first)):
        raise InvalidLimit(f"the times of entry {entry.id!r} must be finite")
    return entry


def row_of(entry: Entry, cell: str) -> list[Any]:
    """Return the values of its columns. Text that is no UTF-8 must not keep money out of the ledger."""
    row = [_clean(value) if type(value) is str else value for value in msgspec.structs.astuple(entry)]
    row[COLUMNS.index("cell")] = cell
    if len(entry.raw) * 4 > RAW_MOST:
        row[COLUMNS.index("raw")] = entry.raw.encode("utf-8", "replace")[:RAW_MOST].decode("utf-8", "ignore")
    return row


def _clean(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
