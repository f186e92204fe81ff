"""The server itself refuses a cell everything that its actors do not need, whatever its process says.

What is allowed is computed twice: by the code under test as patterns, and here as a rule about single subjects. Then a
client without our library says and listens to every subject that the parts of a fleet can make, and the server's own.
"""

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import anyio
import pytest

from callboard.bus import ANYONE, Credentials, NatsServer, Reach, new_inbox, permissions_of

from .by_hand import spoken

WITHIN: Final = 20.0
CELLS: Final = {
    "desk": Reach(
        actors=("desk", "cell-desk"), open=("desk",), queues=("desk",), tell=("clerk", "supervisor"),
        enqueue=("clerk",), publish=("news",), hear=("orders",),
    ),
    "clerk": Reach(
        actors=("clerk", "cell-clerk"), queues=("clerk",), kept=("clerk",), tell=("supervisor",), hear=("news",)
    ),
    "boss": Reach(
        actors=("boss", "cell-boss"), queues=("boss",), tell=(ANYONE,), enqueue=(ANYONE,), publish=(ANYONE,),
        hear=(ANYONE,),
    ),
}  # fmt: skip
NAMES: Final = (
    "desk",
    "clerk",
    "boss",
    "supervisor",
    "cell-desk",
    "news",
    "orders",
    "beat",
    "notice",
    "where",
    "census",
)
SENDERS: Final = ("desk", "clerk", "boss", "daemon", "*", ">")
ACTORS: Final = ("desk", "clerk", "boss")
INBOXES: Final = {cell: new_inbox() for cell in CELLS}
API: Final = (
    "INFO", "STREAM.LIST", "STREAM.NAMES", *(f"STREAM.{verb}.{{}}" for verb in (
        "CREATE", "UPDATE", "DELETE", "PURGE", "INFO", "MSG.GET", "MSG.DELETE", "SNAPSHOT", "RESTORE", "PEER.REMOVE",
    )), "DIRECT.GET.{}", "CONSUMER.LIST.{}", "CONSUMER.NAMES.{}", *(f"CONSUMER.{verb}.{{}}.normal" for verb in (
        "CREATE", "DELETE", "INFO", "PAUSE", "MSG.NEXT", "DURABLE.CREATE", "LEADER.STEPDOWN", "UNPIN",
    )), "CONSUMER.MSG.NEXT.{}.clerk", "CONSUMER.MSG.NEXT.{}.desk", "ACCOUNT.PURGE.X", "SERVER.REMOVE",
)  # fmt: skip
SYSTEM: Final = (
    "$SYS.REQ.SERVER.PING", "$SYS.REQ.ACCOUNT.PING.CONNZ", "$SYS.REQ.CLAIMS.UPDATE", "$SYS.ACCOUNT.A.DISCONNECT",
    "$SYS.REQ.USER.INFO", "$KV.callboard-leases.shop", "$JS.EVENT.ADVISORY.X", "$SRV.PING", "$SRV.PING.desk", "$G.x",
    "$NRG.V.X", "$JSC.CI.A.x", "a", "cb", "cb.shop", "cb.other.to.desk.desk", ">", "*", "cb.>", "cb.shop.to.>",
)  # fmt: skip


def said() -> list[str]:
    """Return all subjects that are tried."""
    branches = [f"cb.shop.{branch}.{name}" for branch in ("to", "on", "sys", "dead", "do") for name in NAMES]
    one = [f"{branch}.{sender}" for branch in branches for sender in SENDERS]
    homes = [f"cb.shop.in.{home}.{name}.{cell}" for home, name, cell in itertools.product(ACTORS, NAMES, SENDERS)]
    work = [
        f"cb.shop.do.{actor}.{lane}.{cell}"
        for actor, lane, cell in itertools.product(ACTORS, ("normal.0", "key.3", "door.0", "*.*"), SENDERS)
    ]
    streams = [*(f"cb_shop_{actor}" for actor in ACTORS), "cbon_shop", "cbdead_shop", "KV_callboard-leases", "*", ">"]
    api = [f"$JS.API.{call}".format(stream) for call in API for stream in streams]
    acks = [
        f"$JS.ACK.{there}{stream}.{consumer}.1.1.1.1.0"
        for there, stream, consumer in itertools.product(("", "_.A."), streams, ("normal", "key-3", "clerk", "desk"))
    ]
    ends = ("", ".r", ".n.7", ".j.7", ".p", ".w.desk-normal", ".l.x", ".>")
    inboxes = [f"{inbox}{end}" for inbox in (*INBOXES.values(), "_CB", "_CB.*", "_INBOX", "_R_") for end in ends]
    return sorted({*branches, *one, *homes, *work, *api, *acks, *inboxes, *SYSTEM})


def may_say(cell: str, subject: str) -> bool:
    """Return whether a cell may publish to a subject: the rule, once more and by its parts."""
    match subject.split("."):
        case ["cb", "shop", "to", name, sender]:
            return sender == cell and _named(CELLS[cell].tell, name)
        case ["cb", "shop", "in", _, name, sender]:
            return sender == cell and _named(CELLS[cell].tell, name)
        case ["cb", "shop", "on", name, sender]:
            return sender == cell and _named(CELLS[cell].publish, name)
        case ["cb", "shop", "sys", name, sender]:
            return sender == cell and name in ("beat", "movement", "notice", "where")
        case ["cb", "shop", "dead", _, sender]:
            return sender == cell
        case ["cb", "shop", "do", name, lane, _, sender]:
            brought = lane == "door" and name in CELLS[cell].open
            return sender == cell and (_named(CELLS[cell].enqueue, name) or brought)
        case ["$JS", "API", "CONSUMER", "MSG", "NEXT", stream, consumer]:
            return _is_own_feed(cell, stream, consumer)
        case ["$JS", "API", "STREAM", "INFO", stream]:
            if ANYONE in CELLS[cell].enqueue:
                return True  # how much waits, of any stream
            return stream in [f"cb_shop_{actor}" for actor in ACTORS if actor in (cell, *CELLS[cell].enqueue)]
        case ["$JS", "ACK", "_", "A", stream, consumer, _, *_]:
            return _is_own_feed(cell, stream, consumer)
        case ["$JS", "ACK", stream, consumer, _, *_]:
            return _is_own_feed(cell, stream, consumer)
        case ["_INBOX", _, *_]:
            return True
        case ["_CB", _, "r"] | ["_CB", _, "n", _]:
            return True
        case ["_CB", mine, _, *_]:
            return f"_CB.{mine}" == INBOXES[cell]
        case _:
            return False


def may_hear(cell: str, subject: str) -> bool:
    """Return whether a cell may listen to a subject, which may be a pattern.

    Of a pattern's last ``>`` the server asks only whether ``*`` is allowed there. No subject of ours is longer, so who
    listens with it hears no more.
    """
    reach = CELLS[cell]
    match subject.split("."):
        case ["cb", "shop", "to" | "do", name]:
            return name in reach.open
        case ["cb", "shop", "to", name, _]:
            return name in reach.actors
        case ["cb", "shop", "in", home, _, _]:
            return home == cell
        case ["cb", "shop", "on", name, _]:
            return _named(reach.hear, name)
        case ["cb", "shop", "sys", name, _]:
            return name in ("notice", "census")
        case ["$SRV", "PING", *_]:
            return True
        case ["_CB", mine, _, *_]:
            return f"_CB.{mine}" == INBOXES[cell]
        case _:
            return False


def _named(names: Iterable[str], name: str) -> bool:
    return name in names or (ANYONE in names and name != ">")


def _is_own_feed(cell: str, stream: str, consumer: str) -> bool:
    durable = stream == "cbon_shop" and cell in CELLS[cell].kept and consumer == cell
    return (stream == f"cb_shop_{cell}" and consumer != ">") or durable


async def refused(stream: anyio.abc.SocketStream, lines: list[str]) -> set[str]:
    """Say `lines`, and return the subjects that the server has refused."""
    found, seen = set[str](), b""
    await stream.send("".join(lines).encode() + b"PING\r\n")
    with anyio.fail_after(WITHIN):
        while b"PONG\r\n" not in seen:
            seen += await stream.receive()
    for line in seen.decode().split("\r\n"):
        if line.startswith("-ERR"):
            assert "Permissions Violation" in line, line
            found.add(line.split('"')[1])
    return found


def user(server: NatsServer, cell: str) -> Credentials:
    return server.realm.admit(cell, permissions_of("shop", cell, CELLS[cell], inbox=INBOXES[cell]))


@pytest.mark.parametrize("cell", CELLS)
async def test_a_cell_can_say_what_its_actors_need_and_nothing_else(tmp_path: Path, cell: str) -> None:
    subjects = [subject for subject in said() if not subject.endswith((".", " "))]
    async with (
        NatsServer.open(tmp_path, fleet="shop") as server,
        spoken(server.url, user(server, cell)) as stream,
    ):
        away = await refused(stream, [f"PUB {subject} 0\r\n\r\n" for subject in subjects])
    allowed = {subject for subject in subjects if may_say(cell, subject)}
    assert set(subjects) - away == allowed
    assert len(allowed) > 20
    assert len(away) > 500


@pytest.mark.parametrize("cell", CELLS)
async def test_a_cell_can_hear_what_its_actors_need_and_nothing_else(tmp_path: Path, cell: str) -> None:
    subjects = [subject for subject in said() if not subject.endswith((".", " "))]
    async with (
        NatsServer.open(tmp_path, fleet="shop") as server,
        spoken(server.url, user(server, cell)) as stream,
    ):
        away = await refused(stream, [f"SUB {subject} {number}\r\n" for number, subject in enumerate(subjects, 1)])
    allowed = {subject for subject in subjects if may_hear(cell, subject)}
    assert set(subjects) - away == allowed
    assert len(allowed) > 10
