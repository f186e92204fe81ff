"""One NATS connection that knows when it has gone deaf.

nats-py can call itself connected while nothing arrives any more: its reader task may have ended, or a network in
between swallows bytes, which its own pings notice only after minutes. So every `probe_every` seconds this connection
sends a message to itself. Two probes in a row that do not come back within `probe_within` mean that it is deaf. With
the defaults that is known after at most 2 + 2 * 3 = 8 seconds.

A deaf connection is dropped, and the client makes a new one, as after any other cut: a server that was paused for half
a minute costs nobody the work in hand. One that is deaf again before a single probe came back, `renewals` times, is
beyond repair and ends for good (crash-only): its owner opens another, or exits and is restarted.
"""

import hmac
import logging
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import anyio
import msgspec
from nats import errors as nats_errors
from nats.aio.subscription import Subscription as NatsSubscription

from callboard.background import background
from callboard.ids import new_id

from .claims import Credentials
from .codec import check_size
from .errors import BusClosed, BusUnavailable
from .interface import END_WITHIN, INBOX_ROOT, BusStatistics, Receiver
from .jetstream import JetStream
from .keys import Key
from .queue import WorkQueue
from .subjects import check_publishable
from .wire import Wire
from .work_queue import NatsQueue

_CONGESTED: Final = 1024 * 1024
_BUFFER: Final = 2 * 1024 * 1024
_CLOSE_WITHIN: Final = 2.0
_log: Final = logging.getLogger("callboard.bus")


class ConnectOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Where to connect, and as whom. Times in seconds."""

    url: str
    user: str = ""
    password: str = ""
    credentials: Credentials | None = None
    """Instead of user and password, where keys are used."""
    inbox: str = ""
    """The address under which replies come, where only one may be listened to; default: a new one."""
    secret: str = ""
    """What ids are made of that no stranger may guess; default: the password."""
    ca: Path | None = None
    """A file of certificates to trust; TLS is also used when the URL begins with ``tls://``."""
    name: str = "callboard"
    within: float = 5.0
    probe_every: float = 2.0
    probe_within: float = 3.0
    renewals: int = 1
    """How often in a row a deaf connection is made anew before it ends for good."""

    def __repr__(self) -> str:
        """Never show the secrets."""
        who = f"credentials={self.credentials!r}" if self.credentials else f"user={self.user!r}"
        return f"ConnectOptions(url={self.shown_url!r}, {who}, name={self.name!r})"

    @property
    def shown_url(self) -> str:
        """The URL without the login that may stand in it: for logs and errors."""
        scheme, _, rest = self.url.rpartition("://")
        return f"{scheme}://{rest.rpartition('@')[2]}" if scheme else rest.rpartition("@")[2]


class _Subscription:
    def __init__(self, connection: "Connection", inner: NatsSubscription) -> None:
        self._connection, self._inner = connection, inner

    async def unsubscribe(self) -> None:
        wire = self._connection.wire
        try:
            await wire.unlisten(self._inner)
        except (nats_errors.ConnectionClosedError, nats_errors.BadSubscriptionError):
            return  # a closed connection has no interests left
        if await self._connection.confirm():  # else what the server still has for it is heard, until a cut
            wire.forget(self._inner)


class Connection:
    """A :class:`~callboard.bus.Bus` over NATS. Made by :func:`connect`."""

    def __init__(self, wire: Wire, options: ConnectOptions) -> None:
        self._wire = wire
        self._options = options
        self._closed = anyio.Event()
        self._why = ""
        self._gaps: list[Callable[[], None]] = []
        self._flushes: set[anyio.CancelScope] = set()
        self._cut_at: float | None = None
        self._mute = False
        """It did not confirm in time, and nothing has come back since."""
        self.away = 0.0
        """Seconds that the latest gap lasted, as far as it was known to be one."""
        self._probe_back = anyio.Event()
        self.inbox = options.inbox or new_inbox()
        self.max_payload = 0
        self.jetstream = JetStream(self)
        self.queue: WorkQueue = NatsQueue(self)

    def publish(self, subject: str, data: bytes, *, reply: str = "", id: str = "") -> None:  # noqa: A002 - its name
        """Hand over one message without waiting; with an `id` by which JetStream knows it again."""
        if self._closed.is_set():
            raise BusClosed(f"the connection to {self._options.shown_url} has ended: {self._why}", why=self._why)
        check_size(data, self.max_payload)
        check_publishable(subject)
        if reply:
            check_publishable(reply)
        if not self._wire.is_connected and self._wire.pending_data_size + len(data) > _BUFFER:
            raise BusUnavailable(f"cut off from {self._options.shown_url}, and {_BUFFER} bytes already wait for it")
        if id:
            self._wire.write_headed(subject, data, reply, _head(id))
        else:
            self._wire.write(subject, data, reply)

    def private(self, name: str) -> str:
        """Return what `name` is called among those of this login: a guest cannot guess it, and take it beforehand."""
        secret = self._options.secret or self._options.password
        return hmac.new(secret.encode(), name.encode(), "sha256").hexdigest()[:40]

    @property
    def wire(self) -> Wire:
        """The client itself; for this room alone."""
        return self._wire

    def cork(self) -> None:
        """Hold back what is published until :meth:`push`."""
        self._wire.cork()

    def push(self) -> None:
        """Hand what was published to the operating system now."""
        self._wire.push()

    @property
    def congested(self) -> bool:
        """Whether more than 1 MiB waits to be written."""
        return self._wire.pending_data_size > _CONGESTED

    async def settle(self) -> None:
        """Wait until the write buffer is with the operating system."""
        if not self._closed.is_set():
            await self._wire.settle()

    async def flush(self, *, timeout: float = 5.0) -> None:
        """Wait for a round trip through the server."""
        if self._closed.is_set():
            raise BusClosed(f"the connection to {self._options.shown_url} has ended: {self._why}", why=self._why)
        if not self._wire.is_connected:
            raise self._cut_off()
        scope = anyio.CancelScope()
        self._flushes.add(scope)
        try:
            with scope, anyio.fail_after(timeout):
                await self._wire.settle()  # the client writes its PING ahead of what still waits in its buffer
                await self._wire.round_trip()
                return
        except (nats_errors.Error, TimeoutError, OSError) as error:
            raise BusUnavailable(f"{self._options.shown_url} did not answer within {timeout} s: {error!r}") from error
        finally:
            self._flushes.discard(scope)
        raise self._cut_off()  # while it waited: the answer cannot come any more

    async def confirm(self) -> bool:
        """Return whether the server has seen all that was said; it is not waited for again while it is mute."""
        if self._mute:
            return False
        try:
            await self.flush(timeout=END_WITHIN)
        except (BusUnavailable, BusClosed):
            self._mute = True
            return False
        return True

    def _cut_off(self) -> BusUnavailable:
        return BusUnavailable(f"cut off from {self._options.shown_url}: what was published waits for the reconnect")

    async def subscribe(
        self, subject: str, receiver: Receiver, *, queue: str = "", status: bool = False
    ) -> _Subscription:
        """Call `receiver` for each message on `subject`; with `status`, give it the head of what has no body."""
        try:
            return _Subscription(self, await self._wire.listen(subject, receiver, queue, status=status))
        except nats_errors.Error as error:
            raise BusClosed(f"cannot subscribe to {subject}: {error!r}", why=self._why) from error

    def on_gap(self, callback: Callable[[], None]) -> None:
        """Call `callback` after each reconnect."""
        self._gaps.append(callback)

    async def wait_closed(self) -> str:
        """Wait until the connection has ended; return why."""
        await self._closed.wait()
        return self._why

    def statistics(self) -> BusStatistics:
        """Return counts."""
        stats = self._wire.stats
        return BusStatistics(
            sent=stats["out_msgs"],
            received=stats["in_msgs"],
            reconnects=stats["reconnects"],
            refused=self._wire.refused,
            pending_bytes=self._wire.pending_data_size,
        )

    def _end(self, why: str) -> None:
        if not self._closed.is_set():
            self._why = why
            self._closed.set()

    def _came_back(self, _subject: str, _data: bytes, _reply: str) -> None:
        self._probe_back.set()
        self._mute = False

    async def _probe(self) -> None:
        await self.subscribe(f"{self.inbox}.p", self._came_back)
        missed = renewed = 0
        while not self._closed.is_set():
            if not missed:
                await anyio.sleep(self._options.probe_every)
            if not self._wire.is_connected:
                missed = 0  # it knows; the client reconnects by itself
                continue
            if await self._round_trip():
                missed = renewed = 0
                continue
            missed += 1
            if missed == 2 and renewed == self._options.renewals:
                self._end("deaf: two probes in a row did not come back")
            elif missed == 2:
                missed, renewed = 0, renewed + 1
                await self._wire.drop()

    async def _round_trip(self) -> bool:
        self._probe_back = anyio.Event()
        self._wire.write(f"{self.inbox}.p", b"", "")
        with anyio.move_on_after(self._options.probe_within):
            await self._probe_back.wait()
        for _ in range(10):  # after a blocked loop the timer is seen first: let the bytes that are there be read
            if self._probe_back.is_set():
                return True
            await anyio.lowlevel.checkpoint()
        return False

    async def _open(self) -> None:
        await self._wire.connect(
            self._options.url,
            user=self._options.user or None,
            password=self._options.password or None,
            **_signing(self._options.credentials),
            tls=_tls(self._options),
            name=self._options.name,
            max_reconnect_attempts=-1,
            reconnect_time_wait=0.2,  # type: ignore[arg-type]  # the client only sleeps for it
            ping_interval=5,
            max_outstanding_pings=2,
            error_cb=self._on_error,
            disconnected_cb=self._on_cut,
            reconnected_cb=self._on_reconnected,
            closed_cb=self._on_closed,
            flush_timeout=10.0,
            pending_size=_BUFFER,
        )
        self.max_payload = self._wire.max_payload

    async def _on_error(self, error: Exception) -> None:
        self._last_error = error

    async def _on_cut(self) -> None:
        self._cut_at = anyio.current_time()
        for scope in self._flushes:
            scope.cancel()

    async def _on_reconnected(self) -> None:
        if self._cut_at is not None:
            self.away, self._cut_at = anyio.current_time() - self._cut_at, None
        self._wire.forget_ended()
        for callback in self._gaps:
            try:
                callback()
            except Exception:  # noqa: BLE001 - the client would stop reconnecting, and the others not hear
                self._wire.refused += 1
                _log.exception("a callback failed after the reconnect to %s", self._options.shown_url)

    async def _on_closed(self) -> None:
        self._end(f"closed: {self._wire.last_error!r}")


def _head(id: str) -> bytes:  # noqa: A002 - its name
    return f"NATS/1.0\r\nNats-Msg-Id: {id}\r\n\r\n".encode()


def new_inbox() -> str:
    """Return an address for replies that nobody can guess."""
    return f"{INBOX_ROOT}.{new_id()}"


def _signing(credentials: Credentials | None) -> dict[str, Any]:
    """Return how the client is to show its credentials, each time it connects."""
    if credentials is None:
        return {}
    token, key = credentials.jwt.encode(), Key(credentials.seed)
    return {"user_jwt_cb": lambda: bytearray(token), "signature_cb": key.answer}


def _tls(options: ConnectOptions) -> ssl.SSLContext | None:
    if options.ca is None and not options.url.startswith("tls://"):
        return None
    return ssl.create_default_context(cafile=options.ca)


@asynccontextmanager
async def connect(options: ConnectOptions) -> AsyncGenerator[Connection]:
    """Open a connection for the time of the block.

    Raises:
        BusUnavailable: nobody listens there, the login is refused, or it took longer than ``options.within``.

    """
    wire = Wire()
    connection = Connection(wire, options)
    try:
        with anyio.fail_after(options.within):
            await connection._open()  # noqa: SLF001 - made here, for here  # pyright: ignore[reportPrivateUsage]
    except (nats_errors.Error, TimeoutError, OSError) as error:
        await _close(wire)
        cause = wire.last_error or error
        raise BusUnavailable(f"no connection to {options.shown_url} within {options.within} s: {cause!r}") from error
    except BaseException:  # cancelled: the client would stay half open
        await _close(wire)
        raise
    try:
        async with background() as tasks:
            tasks.start_soon(connection._probe)  # noqa: SLF001 - the same  # pyright: ignore[reportPrivateUsage]
            yield connection
    finally:
        connection._end("closed by its owner")  # noqa: SLF001 - the same  # pyright: ignore[reportPrivateUsage]
        await _close(wire)


async def _close(wire: Wire) -> None:
    with suppress(OSError), anyio.move_on_after(_CLOSE_WITHIN, shield=True):  # it may be cut off already
        await wire.close()
