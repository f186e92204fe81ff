"""What a status that is not 2xx means: whose fault it is, and for how long to wait. Pure."""

import math
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final, cast

import msgspec

from callboard.errors import CallboardError

from ..errors import BadModelKey, BadModelRequest, ContextTooLong, ModelBusy, ModelDown, UnknownModelName
from .opened import BadStatus
from .where import Where

_WAIT_MOST: Final = 3_600.0
_BY_STATUS: Final[dict[int, type[CallboardError]]] = {
    401: BadModelKey,
    403: BadModelKey,
    404: UnknownModelName,
    408: ModelDown,
    409: ModelDown,
    425: ModelDown,
    429: ModelBusy,
}
"""Others: 5xx is ModelDown, the rest BadModelRequest. 408, 409 and 425 say that the same may go through later."""
_MAY_BE_CONTEXT: Final = (400, 413, 422)
_CONTEXT: Final = re.compile(
    r"context[ _-]?(length|window|size)|maximum context|exceed_context|(prompt|input) is too long|too many tokens"
    r"|reduce the length|string_above_max_length",
    re.IGNORECASE,
)
_SPENT: Final = frozenset({"insufficient_quota", "billing_hard_limit_reached"})


def refused(refusal: BadStatus, where: Where, *, now: float) -> CallboardError:
    """Return the error that a refusal is; `now` in Unix seconds, as an endpoint may name a date to wait for."""
    code, words = _told(refusal.body)
    kind = decide_kind(refusal.status, code, words)
    wait = {"wait": wait_of(refusal.headers, now=now)} if kind is ModelBusy else {}
    what = _WHAT.get(kind, "answered")
    if code in _SPENT and refusal.status == 429:
        what = "says that its account has no money left, and answered"
    told = where.said(words if code in words else f"{code} {words}")
    return where.error(kind, f"{what} {refusal.status}{told}", cost="nothing", status=refusal.status, **wait)


def decide_kind(status: int, code: str, words: str) -> type[CallboardError]:
    """Return the class of error for a status with the endpoint's code and words."""
    if status == 429 and code in _SPENT:
        return BadModelRequest
    if status in _MAY_BE_CONTEXT and _CONTEXT.search(f"{code} {words}"):
        return ContextTooLong
    return _BY_STATUS.get(status, ModelDown if status >= 500 else BadModelRequest)


def wait_of(headers: Mapping[str, str], *, now: float) -> float:
    """Return the seconds that the endpoint wants us to wait, one hour at most; 0.0 if it does not say."""
    if milliseconds := _number(headers.get("retry-after-ms", "")):
        return min(milliseconds / 1_000, _WAIT_MOST)
    after = headers.get("retry-after", "")
    return min(_number(after) or _until(after, now), _WAIT_MOST)


_WHAT: Final[dict[type[CallboardError], str]] = {
    BadModelKey: "refuses the key and answered",
    UnknownModelName: "is not known there, or the url is wrong: it answered",
    ContextTooLong: "takes no prompt of this length and answered",
    ModelBusy: "wants us to wait and answered",
    ModelDown: "failed and answered",
    BadModelRequest: "refuses the request and answered",
}


def _number(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        return 0.0
    return found if math.isfinite(found) and found > 0 else 0.0


def _until(date: str, now: float) -> float:
    try:
        return max(0.0, parsedate_to_datetime(date).timestamp() - now)
    except (ValueError, OverflowError):
        return 0.0


def _told(body: bytes) -> tuple[str, str]:
    """Return the code and the words of an error body, whatever its form."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return "", body.decode(errors="replace")
    return _code_and_words(found)


def _code_and_words(found: object) -> tuple[str, str]:
    if isinstance(found, list) and found:
        return _code_and_words(cast("list[object]", found)[0])
    if not isinstance(found, dict):
        return "", str(found or "")
    fields = cast("dict[str, Any]", found)
    if isinstance(fields.get("error"), dict):
        fields = fields["error"]
    code = fields.get("code") if isinstance(fields.get("code"), str) else fields.get("type")
    words = next((fields[name] for name in ("message", "error", "detail") if fields.get(name)), "")
    return code if isinstance(code, str) else "", str(words)
