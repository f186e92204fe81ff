"""One await on an endpoint, with an end: what goes wrong there is one of our errors, and none of them holds the key."""

import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import anyio

from callboard.errors import CallboardError

from ..errors import BadModelRequest, ModelDown, ModelStalled
from .opened import BadStatus
from .refusal import refused
from .where import Where

T = TypeVar("T")
_NOBODY: Final = frozenset({"ConnectError", "ConnectTimeout", "ProxyError"})
"""Names of the HTTP client's errors for a connection that never was. Its package is openai's, not ours to import."""
_NO_ADDRESS: Final = frozenset({"UnsupportedProtocol", "InvalidURL", "LocalProtocolError"})


async def guarded(wait: Callable[[], Awaitable[T]], where: Where, *, seconds: float, late: str) -> T:
    """Return what `wait` returns, within `seconds`; `late` says what the endpoint did if it takes longer.

    The client's errors hold the request, and that the key. So ours are raised where no other is being handled: not
    even as a context do they carry one along.
    """
    failure: CallboardError | None = None
    with anyio.move_on_after(seconds):
        try:
            return await wait()
        except CallboardError:
            raise
        except BadStatus as refusal:
            failure = refused(refusal, where, now=time.time())
        except Exception as error:  # noqa: BLE001 - the HTTP client's errors are many, and not all of one family
            failure = broken(error, where)
    raise failure or where.error(ModelStalled, late, cost="unknown")


def broken(error: Exception, where: Where) -> CallboardError:
    """Return the error for a connection that failed, or for a request that could not even be written."""
    names = [type(each).__name__ for each in _chain(error)]
    if any(name in _NOBODY for name in names):
        words = where.said(str(_chain(error)[-1]))
        return where.error(ModelDown, f"cannot be reached{words}", cost="nothing")
    ours = isinstance(error, TypeError | ValueError | RecursionError) and not isinstance(error, OSError)
    if ours or any(name in _NO_ADDRESS for name in names):
        return where.error(BadModelRequest, f"cannot be asked this: {names[-1]}", cost="nothing")
    return where.error(ModelDown, f"broke the connection: {names[-1]}", cost="unknown")


def _chain(error: BaseException) -> list[BaseException]:
    found = [error]
    while (cause := found[-1].__cause__) is not None and len(found) < 10:
        found.append(cause)
    return found
