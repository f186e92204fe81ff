"""How a letter is answered: as an envelope, or bare as it came."""

from typing import Any, Final

import msgspec

from callboard.bus import (
    VERSION,
    Endpoint,
    Envelope,
    Kind,
    ReplyHead,
    Trust,
    encode,
    error_body,
    is_inbox,
    is_outside,
)
from callboard.errors import CallboardError, WorldError
from callboard.ids import new_id

from .letter import Letter
from .message import Message, fingerprint, tag_of

_NOTHING: Final = encode(None)
_WAITING: Final = frozenset((int(Kind.ASK), int(Kind.HOLDS)))


class Replies:
    """Answers letters for one actor."""

    def __init__(self, endpoint: Endpoint, name: str) -> None:
        self._endpoint, self._name = endpoint, name
        self._heads: dict[type[Any], ReplyHead] = {}

    def waits(self, letter: Letter) -> bool:
        """Return whether somebody waits for an answer to `letter`."""
        return letter.envelope.kind in _WAITING and bool(letter.envelope.reply)

    def succeed(self, letter: Letter, result: Message | None, *, doubted: bool = False) -> None:
        """Send the reply; raises MessageTooLarge if it would not pass."""
        if letter.bare:
            self._bare(letter, result)
            return
        self.reply(letter.envelope.reply, letter.envelope.id, result, doubted=doubted)

    def reply(self, address: str, question: str, result: Message | None, *, doubted: bool = False) -> None:
        """Send the reply to a question of a cell; raises MessageTooLarge if it would not pass.

        One that is `doubted` goes by itself, and lowers how far who asked is believed.
        """
        if not is_inbox(address):
            return  # an address of somebody else's making: whoever waits there did not ask us
        head = self._heads.get(type(result)) or self._head(type(result))
        body = _NOTHING if result is None else encode(result)
        if doubted:
            reply = msgspec.structs.replace(head.envelope(question, body), trust=int(Trust.EXTERNAL))
            self._endpoint.send(address, reply)
        else:
            self._endpoint.answer(address, head, question, body)

    def _head(self, kind: Any) -> ReplyHead:
        tag, schema = ("", 0) if kind is type(None) else (tag_of(kind), fingerprint(kind))
        head = self._heads[kind] = ReplyHead(tag, schema, self._name, self._endpoint.epoch)
        return head

    def fail(self, letter: Letter, error: CallboardError) -> None:
        """Send a typed error to who waits; nothing when nobody does."""
        if not self.waits(letter):
            return
        if letter.bare:
            self._bare(letter, {"type": "Error", "code": error.code, "text": error.text, "detail": error.detail})
        else:
            self._send(letter, Kind.ERROR, "Error", 0, error_body(error))

    def _send(self, letter: Letter, kind: Kind, tag: str, schema: int, body: msgspec.Raw) -> None:
        asked = letter.envelope
        if not is_inbox(asked.reply):
            return  # an address of somebody else's making: whoever waits there did not ask us
        reply = Envelope(
            VERSION, kind, tag, schema, new_id(), self._name, asked.id, asked.chain, asked.hops, 0.0,
            asked.trace, Trust.INTERNAL, "", 0, body, self._endpoint.epoch,
        )  # fmt: skip
        self._endpoint.send(asked.reply, reply)

    def _bare(self, letter: Letter, body: Any) -> None:
        address = letter.envelope.reply
        if not is_outside(address):
            return
        encoded = msgspec.json.encode(body) if letter.bare == "json" else encode(body)
        try:
            self._endpoint.bus.publish(address, encoded)
        except WorldError:  # as with any other reply: a bus that is gone is no fault of the actor
            self._endpoint.lost += 1

    def plain(self, letter: Letter, body: object) -> None:
        """Reply with plain data: the runtime's own questions."""
        self._send(letter, Kind.REPLY, "", 0, msgspec.Raw(encode(body)))
