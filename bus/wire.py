"""The one place that knows the insides of nats-py, pinned to 2.16 for that reason.

Five things are changed, each for a measured or observed reason:

- Messages go straight from the parser to our receiver. The client's own way, a queue and a task for each subscription,
  costs a loop turn for each message, loses the order between subscriptions and drops messages when its queue is full.
- Publishing appends to the client's write buffer without a coroutine, and is written in the same loop turn.
- Headers are never allowed to raise: a header block that is not UTF-8, or has no line, would kill the client's reader
  while it still calls itself connected.
- A ping whose asker gave up is answered into nothing: the client would raise on the cancelled future, and its reader
  end.
- A subject ends where the server says it ends, at a blank or tab. The client's patterns also stop at VT and FF, so that
  a guest's reply address with one of them would be a protocol error and cost the connection.
"""

# Its types are partly missing, and what it keeps private is changed here:
# pyright: reportUnknownMemberType=false, reportPrivateUsage=false

import asyncio
import logging
import os
import re
from typing import Any, Final
from weakref import WeakSet

from nats.aio.client import Client
from nats.aio.subscription import Subscription as NatsSubscription
from nats.protocol import command, parser

from .interface import Receiver
from .subjects import check_publishable, covers

NO_RESPONDERS: Final = b"503"
_log: Final = logging.getLogger("callboard.bus")

parser.MSG_RE = re.compile(
    rb"\AMSG[ \t]+([^ \t\r\n]+)[ \t]+([^ \t\r\n]+)[ \t]+(([^ \t\r\n]+)[ \t]+)?(\d+)\r\n",
)
parser.HMSG_RE = re.compile(
    rb"\AHMSG[ \t]+([^ \t\r\n]+)[ \t]+([^ \t\r\n]+)[ \t]+(([^ \t\r\n]+)[ \t]+)?(\d+)[ \t]+(\d+)\r\n",
)


_connected: Final["WeakSet[Wire]"] = WeakSet()


class Wire(Client):
    """A nats-py client with sync delivery and sync publishing."""

    def __init__(self) -> None:
        super().__init__()
        _connected.add(self)
        self.receivers: dict[int, Receiver] = {}
        self.wants_status: set[int] = set()
        """Those receivers that are given the head of what has no body: in JetStream it is the message."""
        self.patterns: dict[int, str] = {}
        """What each of the others listens to: a server delivers what was stored at whatever address it was asked to."""
        self._pushing = False
        self.refused = 0

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        receiver = self.receivers.get(sid)
        if receiver is None:
            if sid in self._subs:
                await super()._process_msg(sid, subject, reply, data, headers)
            return
        self.stats["in_msgs"] += 1
        self.stats["in_bytes"] += len(data)
        try:
            if reply:
                check_publishable(reply.decode())  # who could not be answered is not heard
            if (pattern := self.patterns.get(sid)) is not None and not covers(pattern, subject.decode()):
                self.refused += 1
                return
            status = headers if headers and not data and sid in self.wants_status else data
            receiver(subject.decode(), status, reply.decode())
        except Exception:  # noqa: BLE001 - nothing a message does may end the reader; it is counted and logged
            self.refused += 1
            _log.exception("a receiver failed on %r", subject[:120])

    async def _process_headers(self, headers: bytes) -> dict[str, str] | None:
        try:
            return await super()._process_headers(headers)
        except Exception:  # noqa: BLE001 - the same: foreign bytes may not end the reader
            self.refused += 1
            return None

    async def _process_pong(self) -> None:
        if self._pongs and self._pongs[0].done():
            self._pongs[0] = asyncio.get_running_loop().create_future()
        await super()._process_pong()

    async def listen(self, subject: str, receiver: Receiver, queue: str, *, status: bool = False) -> NatsSubscription:
        """Subscribe; `receiver` is known before the server is told, so no message can arrive in between."""
        upcoming = self._sid + 1
        self.receivers[upcoming] = receiver
        if status:
            self.wants_status.add(upcoming)
        else:
            self.patterns[upcoming] = subject
        try:
            subscription = await self.subscribe(subject, queue=queue)
        except BaseException:  # cancelled, perhaps: the server may know it already, and would give it messages
            self.receivers.pop(upcoming, None)
            self.patterns.pop(upcoming, None)
            if self._subs.pop(upcoming, None) is not None:
                self._say(command.unsub_cmd(upcoming, 0))
            raise
        # 5 KiB of queue and iterator, at which nothing here waits:
        subscription._pending_queue = subscription._message_iterator = None  # type: ignore[assignment]  # noqa: SLF001
        return subscription

    async def unlisten(self, subscription: NatsSubscription) -> None:
        """End a subscription made by :meth:`listen`; until :meth:`forget` its receiver takes what is under way."""
        reconnecting = self.is_reconnecting
        await subscription.unsubscribe()
        if reconnecting:  # the client keeps quiet then, though it may have subscribed anew already
            self._say(command.unsub_cmd(subscription._id, 0))  # noqa: SLF001 - it has no public name

    def forget(self, subscription: NatsSubscription) -> None:
        """Hear nothing more for a subscription that has ended."""
        self.receivers.pop(subscription._id, None)  # noqa: SLF001 - the same
        self.patterns.pop(subscription._id, None)  # noqa: SLF001 - the same

    def forget_ended(self) -> None:
        """Forget all that ended before a new connection was made: the server knows nothing of them."""
        self.receivers = {sid: receiver for sid, receiver in self.receivers.items() if sid in self._subs}
        self.patterns = {sid: pattern for sid, pattern in self.patterns.items() if sid in self._subs}

    def write_headed(self, subject: str, data: bytes, reply: str, head: bytes) -> None:
        """Append one HPUB, as :meth:`write` does; `head` is a whole block of headers, with the empty line."""
        line = f"HPUB {subject} {reply} {len(head)} {len(head) + len(data)}\r\n"
        self.stats["out_msgs"] += 1
        self.stats["out_bytes"] += len(data)
        self._say(b"%b%b%b\r\n" % (line.encode(), head, data))

    def write(self, subject: str, data: bytes, reply: str) -> None:
        """Append one PUB to the write buffer, which is written at the end of this turn at the latest."""
        head = f"PUB {subject} {reply} {len(data)}\r\n" if reply else f"PUB {subject} {len(data)}\r\n"
        self.stats["out_msgs"] += 1
        self.stats["out_bytes"] += len(data)
        self._say(b"%b%b\r\n" % (head.encode(), data))

    def _say(self, line: bytes) -> None:
        self._pending.append(line)
        self._pending_data_size += len(line)
        if not self._pushing:
            self._pushing = True
            asyncio.get_running_loop().call_soon(self.push)

    def cork(self) -> None:
        """Hold back what is written from now on until :meth:`push`, which must follow in the same turn."""
        self._pushing = True

    def push(self) -> None:
        """Write what is pending, if the operating system takes it at once; else the client's flusher waits for that.

        The flusher alone costs a future, a queue and two loop turns for each write: a tenth of a lone question.
        """
        self._pushing = False
        queue: asyncio.Queue[Any] | None = self._flush_queue
        if not self._pending or not self.is_connected or queue is None:
            return
        writer = getattr(self._transport, "_io_writer", None)
        if writer is not None and not writer.is_closing() and not writer.transport.get_write_buffer_size():
            pending, self._pending, self._pending_data_size = self._pending, [], 0
            writer.writelines(pending)
        elif queue.empty():
            queue.put_nowait(asyncio.get_running_loop().create_future())

    def let_go(self) -> None:
        """Give the socket up without a word to the server: in a forked child, which holds its parent's."""
        writer = getattr(self._transport, "_io_writer", None)
        found = writer.get_extra_info("socket") if writer is not None else None
        if found is not None and found.fileno() >= 0:
            null = os.open(os.devnull, os.O_RDWR)
            os.dup2(null, found.fileno())
            os.close(null)

    async def round_trip(self) -> None:
        """Wait for the answer to a ping; the client's own flush also returns without one when its reader has ended."""
        answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        await self._send_ping(answered)
        await answered

    async def drop(self) -> None:
        """End the connection without a word to the other side, which may not listen; the client makes a new one."""
        self._abort()
        await self.force_reconnect()

    def _abort(self) -> None:
        """Close the socket at once: an orderly close would wait until what is unsent is taken, perhaps for ever."""
        writer = getattr(self._transport, "_io_writer", None)
        if writer is not None:
            writer.transport.abort()

    async def _connect_to_server(self, s: Any) -> None:
        self._abort()  # of an attempt that got no further than a connection, which the client forgets
        await super()._connect_to_server(s)

    async def settle(self) -> None:
        """Wait until the flusher has written what is pending."""
        await self._flush_pending(force_flush=True)


def _let_go_of_all() -> None:
    """Close what a child has inherited.

    A connection lives as long as one process holds it: the server would go on giving messages to one that is dead.
    """
    for wire in list(_connected):
        wire.let_go()


os.register_at_fork(after_in_child=_let_go_of_all)
