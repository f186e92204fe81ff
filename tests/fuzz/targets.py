"""What takes bytes or text from others. Each target returns, or raises what it says; anything else is a bug."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from callboard.actors import BadGrant
from callboard.actors.door import task_in
from callboard.actors.terms import parse_term
from callboard.bus import Delivery, Feed, InvalidSubject, MessageRefused, parts_of, refusals_in, subjects
from callboard.bus.claims import BadCredentials, credentials_in
from callboard.bus.keys import BadKey, is_signed
from callboard.bus.wire import Wire
from callboard.errors import InvalidName
from callboard.names import checked

_loop: Final = asyncio.new_event_loop()


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def grant(data: bytes) -> None:
    """Read an entry of a grant."""
    with suppress(BadGrant, InvalidName):
        term = parse_term(_text(data))
        assert term.name == "*" or checked(term.name, "actor")
        term.objection({"amount": 1, "a": "b"}, now=0.0)


def name(data: bytes) -> None:
    """Pass the name gate: what comes through makes a subject of as many tokens as it should have."""
    with suppress(InvalidName):
        passed = checked(_text(data), "actor")
        assert len(subjects.mailbox("shop", passed, sender=passed).split(".")) == 5


def subject(data: bytes) -> None:
    """Take a subject apart, and put it together again."""
    text = _text(data)
    with suppress(InvalidSubject):
        place = subjects.parse(text)
        if place.branch == "to" and place.cell:
            assert subjects.mailbox(place.fleet, place.name, sender=place.cell) == text
    with suppress(InvalidSubject):
        subjects.parse_work(text)
    with suppress(InvalidSubject):
        subjects.check_publishable(text)
        assert not set(text) & set(" \t\r\n*>")


def decoder(data: bytes) -> None:
    """Open what came from a cell: each part is a message or a refusal."""
    for part in parts_of(data):
        if isinstance(part, MessageRefused):
            assert part.text


def task(data: bytes) -> None:
    """Open what was stored for an actor, by a cell and by an outsider."""
    for cell in ("desk", ""):
        where = f"cb.shop.do.desk.{'normal' if cell else 'door'}.0.desk"
        task_in(Delivery("desk", Feed("normal"), where, cell, data, "", 1, 1, 0.0))


def frames(data: bytes) -> None:
    """Hear what the server passes on of others: whatever is in it, the next message is heard."""
    wire, heard = Wire(), list[bytes]()
    wire.receivers[1] = lambda _subject, body, _reply: heard.append(body)
    head, body = data[: len(data) // 2], data[len(data) // 2 :]
    place = bytes(set(data) - set(b" \t\r\n"))[:50] or b"a"
    told = b"HMSG a 1 %b %d %d\r\n%b\r\n" % (place, len(head), len(data), head + body)
    told += b"MSG %b 1 %d\r\n%b\r\n" % (place, len(data), data)
    _loop.run_until_complete(_parse(wire, told + b"MSG a 1 4\r\nlast\r\n"))
    assert heard[-1] == b"last"


async def _parse(wire: Wire, data: bytes) -> None:
    half = len(data) // 2
    for part in (data[:half], data[half:]):
        await wire._ps.parse(part)


def server_log(data: bytes) -> None:
    """Look for refusals in what a server, and so whoever speaks to it, has written."""
    for refusal in refusals_in(_text(data).splitlines()):
        assert refusal.verb in ("publish", "subscribe", "exceed")


def credentials(data: bytes) -> None:
    """Read a file of credentials, and check a signature."""
    with suppress(BadCredentials, BadKey):
        credentials_in(_text(data))
    is_signed(_text(data), data, data)


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    each.__name__: each for each in (grant, name, subject, decoder, task, frames, server_log, credentials)
}
SEEDS: Final[dict[str, list[bytes]]] = {
    "grant": [b"refund(amount <= 50, currency in [eur, 'us d']) until 2026-12-31T12:00Z", b"*(a == \"b\")", b"clerk"],
    "name": [b"desk", b"a" * 63, b"desk\n", "d\u0435sk".encode()],
    "subject": [b"cb.shop.to.desk.clerk", b"cb.shop.in.a.b.c", b"cb.shop.do.desk.key.3.clerk", b"cb.shop.dead.desk.a"],
    "decoder": [b"\x9f\x01\x01\xa4Note\x00\xa1a\xa0", b"\x92\x91\x01\x91\x02", b"{}", b"\xdd\xff\xff\xff\xff"],
    "task": [b'{"type": "Note", "text": "x"}', b"\x81\xa4type\xa4Note", b"\x9f\x01\x07\xa4Note"],
    "frames": [b"NATS/1.0\r\n\r\n", b"NATS/1.0 503\r\nStatus: 404\r\n\r\nx", b"NATS/1.0\xff\xfe", b"\r\nPUB a 1\r\n"],
    "server_log": [b'x - "A/b/jwt:U' + b"A" * 55 + b'" - Publish Violation - Subject "cb.x"'],
    "credentials": [b"-----BEGIN NATS USER JWT-----\na.b.c\n------END NATS USER JWT------\n"],
}  # fmt: skip
