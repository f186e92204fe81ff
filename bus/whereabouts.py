"""Where actors are: what the daemon says to who found nobody at an actor's address."""

from collections.abc import Callable
from typing import Final

import msgspec

from . import codec
from .endpoint import Endpoint
from .envelope import Envelope, Kind
from .interface import is_inbox

_where: Final = msgspec.msgpack.Decoder(str)


async def answer_where(endpoint: Endpoint, where: Callable[[str], str]) -> None:
    """Answer, until `endpoint` ends, what `where` returns for the actor asked for.

    That is: up, restarting, held, unknown; or ``in <cell>``, if it is spoken to at that cell's own address.
    """

    def answer(_subject: str, data: bytes, _reply: str) -> None:
        for envelope in codec.split(data):
            if isinstance(envelope, Envelope) and is_inbox(envelope.reply):
                state = where(codec.decode_body(_where, envelope.body))
                endpoint.send(envelope.reply, endpoint.make(Kind.REPLY, causation=envelope.id, body=state))

    await endpoint.hear("where", answer)
