"""A changed fleet file tried before it is applied: in a process of its own, where nothing of the old code is loaded.

It is told on standard input where the file is and what waits, loads the file and all that it uses, reads everything
that waits with the new types, and says on standard output what it found. The daemon never imports the new code.
"""

import hashlib
import sys
import sysconfig
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread
import msgspec

from callboard.actors import ActorSpec, Letter, task_in
from callboard.actors.embedding import EmbedderTable
from callboard.actors.llm import LlmConfig
from callboard.bus import Envelope, MessageRefused, NoSuchActor, WorkQueue, connect, subjects
from callboard.errors import CallboardError

from .access import Access
from .config import ActorTable, BusTable, FleetConfig, load_fleet
from .errors import BadFleet
from .formation import CellTable, GroupTable
from .persons import PersonTable

WITHIN: Final = 600.0
"""Seconds: a million messages are read in three minutes."""
FAULTS_MOST: Final = 10
_OURS: Final = str(Path(__file__).resolve().parents[1])
_OTHERS: Final = (sysconfig.get_path("stdlib"), "site-packages", "dist-packages", _OURS)


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be tried."""

    file: str
    fleet: str
    access: Access
    durable: bool
    actors: list[str]
    """Those of the running fleet."""
    letters: dict[str, list[Letter]] = {}
    """What understudies keep, for each actor."""


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it; with `faults` it must not be applied."""

    faults: list[str] = []
    name: str = ""
    bus: BusTable = BusTable()
    tables: list[ActorTable] = []
    groups: list[GroupTable] = []
    persons: list[PersonTable] = []
    formations: list[CellTable] = []
    memory: EmbedderTable = EmbedderTable()
    llm: LlmConfig = LlmConfig()
    topics: dict[str, tuple[str, ...]] = {}
    """The durable topics of each actor."""
    heard: dict[str, tuple[str, ...]] = {}
    """All topics that it or one whom it may spawn hears."""
    code: str = ""
    read: int = 0
    """Messages that wait, and fit."""


def code_of() -> str:
    """Return a digest of all modules that are loaded and belong to neither Python, a package, nor us."""
    files = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    own = sorted(file for file in files if file and not any(part in str(Path(file).resolve()) for part in _OTHERS))
    digest = hashlib.sha256()
    for file in own:
        digest.update(file.encode() + b"\0" + Path(file).read_bytes() + b"\0")
    return digest.hexdigest()


async def rehearse(piece: Piece) -> Tried:
    """Try a fleet file in a process of its own; raises BadFleet if that ends without a word, or takes too long."""
    command = [sys.executable, "-m", "callboard.supervisor.rehearsal"]
    with anyio.move_on_after(WITHIN):
        done = await anyio.run_process(command, input=msgspec.json.encode(piece), check=False)
        try:
            return msgspec.json.decode(done.stdout, type=Tried)
        except msgspec.MsgspecError as error:
            said = done.stderr.decode(errors="replace").strip()[-500:]
            raise BadFleet(f"{piece.file} could not be tried: exit code {done.returncode}: {said}") from error
    raise BadFleet(f"{piece.file} could not be tried within {WITHIN:.0f} s")


def main() -> None:
    """Try what standard input says, and print what came of it."""
    out = sys.stdout
    sys.stdout = sys.stderr  # what modules print when they are imported must not stand in the answer
    piece = msgspec.json.decode(sys.stdin.buffer.read(), type=Piece)
    try:
        config = load_fleet(Path(piece.file))
        found = anyio.run(_try, piece, config)
    except CallboardError as error:
        found = Tried(faults=[error.text])
    out.write(msgspec.json.encode(found).decode())


async def _try(piece: Piece, config: FleetConfig) -> Tried:
    faults, read = list[str](), 0
    specs = {spec.name: spec for spec in config.actors}
    for actor, letters in piece.letters.items():
        read += len(letters)
        faults += _unfit(specs.get(actor), actor, letters)
    if piece.durable:
        async with connect(piece.access.options(f"{piece.fleet}/rehearsal")) as bus:
            for actor in piece.actors:
                count, wrong = await _read_queue(bus.queue, piece.fleet, actor, specs.get(actor))
                read += count
                faults += wrong
    tables = [_whole(table, specs[table.name]) for table in config.tables]
    return Tried(
        faults=faults[:FAULTS_MOST], name=config.name, bus=config.bus, tables=tables,
        groups=list(config.groups), persons=list(config.persons), formations=list(config.formations), read=read,
        code=code_of(), memory=config.memory, llm=config.llm,
        topics={spec.name: spec.kept for spec in config.actors},
        heard={spec.name: spec.heard for spec in config.actors},
    )  # fmt: skip


def _whole(table: ActorTable, spec: ActorSpec) -> ActorTable:
    """Return a table that says all by itself: who reads it does not import the class."""
    return msgspec.structs.replace(table, name=spec.name, cell=spec.cell, may=spec.may)


async def _read_queue(queue: WorkQueue, fleet: str, actor: str, spec: ActorSpec | None) -> tuple[int, list[str]]:
    """Return how many tasks wait for an actor, and what is wrong with them."""
    try:
        if spec is None:
            waiting = (await queue.state(fleet, actor)).waiting + await queue.events(fleet, actor)
            return 0, [f"{waiting} tasks wait for {actor}, which the file does not name any more"] if waiting else []
        count, faults = 0, list[str]()
        async for delivery in queue.waiting(fleet, actor):
            count += 1
            if len(faults) < FAULTS_MOST:
                topic = subjects.parse_work(delivery.subject).topic
                faults += _unfit_task(spec, task_in(delivery), topic)
    except NoSuchActor:
        return 0, []
    return count, faults


def _unfit(spec: ActorSpec | None, actor: str, letters: list[Letter]) -> list[str]:
    if spec is None:
        return [f"{len(letters)} messages wait for {actor}, which the file does not name any more"] if letters else []
    return [fault for letter in letters for fault in _unfit_task(spec, letter.envelope)]


def _unfit_task(spec: ActorSpec, envelope: Envelope | None, topic: str = "") -> list[str]:
    if envelope is None:
        return []  # what cannot be read by anybody is the quarantine's
    table = spec.actor.table
    route = (table.topics.get(topic, {}) if topic else table.direct).get(envelope.type)
    if route is None:
        what = f"{envelope.type} of topic {topic}" if topic else envelope.type
        return [f"{spec.name} takes no {what} any more, and {envelope.id} waits for it"]
    try:
        route.reader.read(envelope)
    except MessageRefused as error:
        return [f"{envelope.type} {envelope.id} that waits for {spec.name} does not fit: {error.text}"]
    return []


if __name__ == "__main__":
    main()
