"""A lease: one holder of a name on one NATS, for as long as it is renewed.

It is an entry of a JetStream key-value bucket whose age limit removes what was not written for `ttl` seconds. So the
server's clock alone decides when a lease has ended; the holder counts from before its last successful write, on its
own monotonic clock, and must be gone before that. Every write names the revision that it replaces: of two only one
succeeds.

An `owner` is more than a process: who comes back under the same owner takes its own lease over at once.
"""

from typing import Final, Literal

import anyio
import msgspec
from nats import errors as nats_errors
from nats.js import errors as js_errors
from nats.js.kv import KeyValue

from callboard.clock import Clock

from .connection import Connection
from .errors import BusUnavailable, LeaseHeld, NoLeases

BUCKET: Final = "callboard-leases"
TTL: Final = 60.0
"""Seconds. Longer than a server may be away without costing its fleets their lease."""
ANSWER_WITHIN: Final = 2.0
_TRIES: Final = 3
_NAME_IN_USE: Final = 10058
"""The bucket is there, with other settings: those count."""


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds a lease, or wants it."""

    owner: str
    host: str
    pid: int
    state: Literal["wants", "holds"] = "holds"


def held_by(name: str, holder: Holder) -> LeaseHeld:
    """Return what is said to who wants what another holds."""
    text = f"{name!r} is held by process {holder.pid} on {holder.host}"
    return LeaseHeld(text, name=name, host=holder.host, pid=holder.pid)


class Lease:
    """A lease that was taken. For one task."""

    def __init__(self, bus: Connection, name: str, holder: Holder, *, clock: Clock) -> None:
        self._bus, self._name, self._clock = bus, name, clock
        self._owner, self._value = holder.owner, msgspec.json.encode(holder)
        self._bucket: KeyValue | None = None
        self._revision = 0
        self._until = 0.0
        self.ttl = TTL

    @classmethod
    async def take(cls, bus: Connection, name: str, holder: Holder, *, clock: Clock) -> "Lease":
        """Take the lease of `name`, which may be our own of an earlier life.

        Raises:
            LeaseHeld: another owner has it; the text names host and process.
            NoLeases: this server keeps none for us: no JetStream, or no right to use it.
            BusUnavailable: it did not answer in time.

        """
        lease = cls(bus, name, holder, clock=clock)
        await lease.renew()
        return lease

    @property
    def left(self) -> float:
        """Seconds until it may be another's."""
        return self._until - self._clock.monotonic()

    async def renew(self) -> None:
        """Hold it for another `ttl` seconds from now; raises what :meth:`take` raises."""
        if not self._bus.wire.is_connected:
            raise BusUnavailable(f"cut off: the lease of {self._name!r} cannot be renewed")
        began = self._clock.monotonic()
        try:
            with anyio.fail_after(_TRIES * ANSWER_WITHIN):
                await self._write()
        except js_errors.APIError as error:
            self._bucket = None
            raise NoLeases(f"JetStream refuses the lease of {self._name!r}: {error.description}") from error
        except (nats_errors.Error, TimeoutError, OSError) as error:
            self._bucket = None  # it may have been deleted: the next time finds out
            raise BusUnavailable(f"no answer from JetStream on the lease of {self._name!r}: {error!r}") from error
        self._until = began + self.ttl

    async def release(self) -> None:
        """Let another have it at once; what cannot be said ends by its age."""
        try:
            if self._bucket is not None and self._bus.wire.is_connected:
                with anyio.move_on_after(ANSWER_WITHIN):
                    await self._bucket.delete(self._name, last=self._revision)
        except (nats_errors.Error, TimeoutError, OSError):
            return

    async def _write(self) -> None:
        self._bucket = bucket = self._bucket or await self._open()
        for _ in range(_TRIES):
            try:
                self._revision = await bucket.update(self._name, self._value, last=self._revision)
            except js_errors.KeyWrongLastSequenceError:
                self._revision = await self._look(bucket)
            else:
                return
        raise LeaseHeld(f"{self._name!r} is wanted by others too, who were faster", name=self._name)

    async def _look(self, bucket: KeyValue) -> int:
        """Return the revision that we may replace: of our own entry, or of none."""
        try:
            entry = await bucket.get(self._name)
        except js_errors.KeyNotFoundError as gone:
            return (gone.entry.revision or 0) if gone.entry else 0  # one that was released left a marker
        try:
            holder = msgspec.json.decode(entry.value or b"", type=Holder)
        except msgspec.MsgspecError as error:
            why = f"{self._name!r} in bucket {BUCKET} is no lease of ours, and is left as it is: {error}"
            raise LeaseHeld(why, name=self._name) from error
        if holder.owner != self._owner:
            raise held_by(self._name, holder)
        return entry.revision or 0

    async def _open(self) -> KeyValue:
        """Return the bucket, made if it is missing; `ttl` is then what it says."""
        stream = self._bus.wire.jetstream(timeout=ANSWER_WITHIN)
        try:
            bucket = await stream.create_key_value(bucket=BUCKET, ttl=TTL, history=1)
        except js_errors.ServiceUnavailableError as error:
            raise NoLeases("this NATS has no JetStream for us") from error
        except nats_errors.TimeoutError as error:
            if "permissions violation" in repr(self._bus.wire.last_error).lower():
                raise NoLeases("this login may not use JetStream") from error
            raise
        except js_errors.BadRequestError as error:
            if error.err_code != _NAME_IN_USE:
                raise
            bucket = await stream.key_value(BUCKET)
        self.ttl = (await bucket.status()).ttl or TTL
        return bucket
