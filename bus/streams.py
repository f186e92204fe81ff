"""What is stored in a stream, read and mended without taking it.

A server that is killed between noting that a message is settled and deleting it gives it to nobody any more, and keeps
it for ever: below the floor of each consumer that takes from its subject, up to which all is settled.
"""

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Final

import msgspec

from . import subjects
from .jetstream import JetStream, JetStreamError
from .queue import Delivery, Feed
from .subjects import matches

NO_MESSAGE: Final = 10037
NO_STREAM: Final = 10059
CLOSED: Final = 10054
"""JetStream's number for a message that is larger than its stream takes: each is, at one that was closed."""
_EXISTS: Final = 10058
DUPLICATES_KNOWN: Final = 120.0
"""Seconds for which a stream knows the id of a message again."""
_GONE: Final = frozenset((NO_MESSAGE, 10043, 10057))


class Stored(msgspec.Struct):
    """One message as it is stored."""

    subject: str
    seq: int
    time: datetime
    data: bytes = b""


class _Found(msgspec.Struct):
    message: Stored


class State(msgspec.Struct):
    """How it stands with a stream."""

    messages: int
    bytes: int
    lost: dict[str, object] | None = None


class Info(msgspec.Struct):
    """What the server says of a stream."""

    config: dict[str, object]
    state: State


class _Floor(msgspec.Struct):
    stream_seq: int


class _Config(msgspec.Struct):
    filter_subject: str = ""
    filter_subjects: list[str] = []


class Consumer(msgspec.Struct):
    """One who takes from a stream."""

    config: _Config
    ack_floor: _Floor
    num_pending: int = 0
    num_ack_pending: int = 0

    @property
    def subjects(self) -> list[str]:
        """Where it takes from."""
        return self.config.filter_subjects or [self.config.filter_subject]

    @property
    def floor(self) -> int:
        """Up to which number all that it takes is settled."""
        return self.ack_floor.stream_seq

    @property
    def waiting(self) -> int:
        """How many messages it has not settled."""
        return self.num_pending + self.num_ack_pending


class _Page(msgspec.Struct):
    total: int
    consumers: list[Consumer] | None = None


_info: Final = msgspec.json.Decoder(Info)


class _Counts(msgspec.Struct):
    subjects: dict[str, int] | None = None


class _Subjects(msgspec.Struct):
    subjects: list[str]


class _Whole(msgspec.Struct):
    config: _Subjects
    state: _Counts


_strays: Final = msgspec.json.Decoder(_Whole)
_found: Final = msgspec.json.Decoder(_Found)
_consumer: Final = msgspec.json.Decoder(Consumer)
_page: Final = msgspec.json.Decoder(_Page)


def delivery_of(actor: str, feed: Feed, message: Stored) -> Delivery:
    """Return what is stored as if it were delivered; it cannot be settled."""
    cell, at = subjects.parse_work(message.subject).cell, message.time.timestamp()
    return Delivery(actor, feed, message.subject, cell, message.data, "", message.seq, 0, at)


async def make(jetstream: JetStream, stream: str, config: Mapping[str, object]) -> None:
    """Make a stream, or bring it up to date; raises JetStreamError."""
    try:
        await jetstream.api(f"STREAM.CREATE.{stream}", config)
    except JetStreamError as error:
        if error.number != _EXISTS:
            raise
        await jetstream.api(f"STREAM.UPDATE.{stream}", config)


async def info_of(jetstream: JetStream, stream: str) -> Info:
    """Return what the server says of a stream; raises JetStreamError."""
    return _info.decode(await jetstream.api(f"STREAM.INFO.{stream}"))


async def close(jetstream: JetStream, stream: str) -> dict[str, object]:
    """Let a stream take nothing more, and return its settings until now, with which it takes again.

    A size is asked of each message at the moment when it would be stored. Without subjects a stream would still store
    what stands in its line already. Raises JetStreamError.
    """
    config = (await info_of(jetstream, stream)).config
    await jetstream.api(f"STREAM.UPDATE.{stream}", {**config, "max_msg_size": 1})
    return config


async def read(jetstream: JetStream, stream: str, where: str = ">", *, after: int = 0) -> AsyncIterator[Stored]:
    """Yield what is stored at the subject `where` beyond the number `after`, in order; raises JetStreamError."""
    while True:
        wanted = {"seq": after + 1, "next_by_subj": where}
        try:
            found = await jetstream.api(f"STREAM.MSG.GET.{stream}", wanted)
        except JetStreamError as error:
            if error.number == NO_MESSAGE:
                return
            raise
        message = _found.decode(found).message
        yield message
        after = message.seq


async def consumer_of(jetstream: JetStream, stream: str, name: str) -> Consumer | None:
    """Return one who takes from a stream; None if there is no such stream or consumer."""
    try:
        return _consumer.decode(await jetstream.api(f"CONSUMER.INFO.{stream}.{name}"))
    except JetStreamError:
        return None


async def consumers_of(jetstream: JetStream, stream: str) -> list[Consumer]:
    """Return all who take from a stream; raises JetStreamError."""
    found: list[Consumer] = []
    while True:  # the server names at most 256 at once
        page = _page.decode(await jetstream.api(f"CONSUMER.LIST.{stream}", {"offset": len(found)}))
        found += page.consumers or ()
        if not page.consumers or len(found) >= page.total:
            return found


async def mend(jetstream: JetStream, stream: str) -> int:
    """Take out what all who take it have settled and is still there, and return how much; raises JetStreamError."""
    floors: dict[str, int] = {}
    for consumer in await consumers_of(jetstream, stream):
        for where in consumer.subjects:
            floors[where] = min(consumer.floor, floors.get(where, consumer.floor))
    return await _purge_strays(jetstream, stream) + sum(
        [await _clear(jetstream, stream, where, floor) for where, floor in floors.items()]
    )


async def _purge_strays(jetstream: JetStream, stream: str) -> int:
    """Take out what stands at none of a stream's own subjects: who asked for it has named one as the address."""
    found = _strays.decode(await jetstream.api(f"STREAM.INFO.{stream}", {"subjects_filter": ">"}))
    count = 0
    for where, stored in (found.state.subjects or {}).items():
        if not any(matches(own, where) for own in found.config.subjects):
            await jetstream.api(f"STREAM.PURGE.{stream}", {"filter": where})
            count += stored
    return count


async def _clear(jetstream: JetStream, stream: str, where: str, floor: int) -> int:
    count = 0
    try:
        async for message in read(jetstream, stream, where):
            if message.seq > floor:
                break
            await jetstream.api(f"STREAM.MSG.DELETE.{stream}", {"seq": message.seq, "no_erase": True})
            count += 1
    except JetStreamError as error:  # the server was as fast: looked at again the next time
        if error.number not in _GONE:
            raise
    return count
