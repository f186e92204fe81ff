"""The fleet file: read, checked whole at the door, then trusted.

Every complaint names the line, the key and what is legal. Combinations are checked too, and each ``use`` is imported,
so that ``callboard check`` finds what ``callboard up`` would.
"""

import importlib
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec

from callboard.actors import TRIES, Actor, ActorSpec, DoorLimits, Grant, Health, Intensity, Restart
from callboard.actors.embedding import EmbedderTable
from callboard.actors.llm import (
    LOCAL_WEIGHTS,
    BudgetTable,
    EndpointTable,
    LlmConfig,
    LlmTable,
    ModelTable,
    PriceTable,
    read_key,
    settle_llm,
)
from callboard.bus import QUEUE_MOST
from callboard.errors import CallboardError
from callboard.names import LOCAL_MODEL, OFFICE, checked
from callboard.store import Retention

from .errors import BadFleet
from .formation import CellTable, GroupTable, check_formation
from .persons import PersonTable
from .reserved import CELL_NAME_MOST, CLIENTS, RESERVED, is_reserved, keeper_of
from .toml_lines import Fault, explain

SILENT_LEAST: Final = 1.0
"""Seconds: ten beats."""


class FleetTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[fleet]``."""

    name: str


class BusTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[bus]``: an outside NATS by `url`, else an embedded one."""

    url: str = ""
    user: str = ""
    password_file: str = ""
    """A file, readable by its owner alone, with the password: never the password itself."""
    credentials_file: str = ""
    """A ``.creds`` file instead of user and password, where the server knows keys."""
    account: str = ""
    """The public key of the account that `signing_key_file` signs for."""
    signing_key_file: str = ""
    """A file with a seed that may sign for users of the account: then each life of each cell is one of its own."""
    ca: str = ""
    sync: Annotated[str, msgspec.Meta(pattern="^always$")] = "always"
    plain: bool = False
    """Whether a server that is not on this machine may be spoken to without TLS: only on a network that is trusted."""
    local: bool = True
    """Whether what actors of one cell say to each other stays in their process."""


class ActorTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[[actor]]``."""

    use: str
    name: str = ""
    replicas: Annotated[int, msgspec.Meta(ge=1, le=256)] = 1
    cell: str = ""
    open: bool = False
    private: bool = False
    door: DoorLimits = DoorLimits()
    restart: Restart = "permanent"
    mailbox: Annotated[int, msgspec.Meta(ge=1024, le=1_000_000)] = 10_000
    """At least one sender's credit, so that a fast sender waits instead of losing what it tells."""
    tries: Annotated[int, msgspec.Meta(ge=1, le=100)] = TRIES
    queue: Annotated[int, msgspec.Meta(ge=1, le=100_000_000)] = QUEUE_MOST
    health: Health = Health()
    intensity: Intensity = Intensity()
    may: Grant | None = None
    keep: Retention = Retention()
    options: dict[str, Any] = {}


class FleetFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    fleet: FleetTable
    bus: BusTable = BusTable()
    memory: EmbedderTable = EmbedderTable()
    actor: list[ActorTable]
    cell: list[CellTable] = []
    group: list[GroupTable] = []
    person: list[PersonTable] = []
    llm: LlmTable = LlmTable()
    endpoint: list[EndpointTable] = []
    model: list[ModelTable] = []
    budget: list[BudgetTable] = []


_TABLES: Final[dict[str, type[msgspec.Struct]]] = {
    "": FleetFile, "fleet": FleetTable, "bus": BusTable, "memory": EmbedderTable, "actor": ActorTable,
    "health": Health, "door": DoorLimits, "keep": Retention, "intensity": Intensity, "may": Grant, "cell": CellTable,
    "group": GroupTable, "person": PersonTable, "llm": LlmTable, "endpoint": EndpointTable, "model": ModelTable,
    "budget": BudgetTable, "price": PriceTable,
}  # fmt: skip


class FleetConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A checked fleet file."""

    name: str
    bus: BusTable
    actors: tuple[ActorSpec, ...]
    tables: tuple[ActorTable, ...]
    """As written, with names and cells filled in; this is what is sent to a cell."""
    home: Path
    """The folder of the fleet file."""
    file: Path | None = None
    """The fleet file itself, if there is one."""
    memory: EmbedderTable = EmbedderTable()
    """By what memories are compared."""
    llm: LlmConfig = LlmConfig()
    """Whom its agents may ask, and for how much."""
    groups: tuple[GroupTable, ...] = ()
    persons: tuple[PersonTable, ...] = ()
    """Those who give orders; where there are none, the owner's login does."""
    formations: tuple[CellTable, ...] = ()
    """Of those cells that have a table of their own."""

    @property
    def agents(self) -> tuple[ActorSpec, ...]:
        """Those that the file names, without what the runtime adds."""
        return tuple(spec for spec in self.actors if not is_reserved(spec.name))

    @property
    def cells(self) -> dict[str, list[ActorTable]]:
        """The actors of each cell, in the order of the file."""
        grouped: dict[str, list[ActorTable]] = {}
        for table in self.tables:
            grouped.setdefault(table.cell, []).append(table)
        return grouped

    def formation_of(self, cell: str) -> CellTable | None:
        """Return the ``[[cell]]`` table of a cell, if it has one."""
        return next((table for table in self.formations if table.name == cell), None)

    @property
    def homes(self) -> dict[str, str]:
        """The cell of each actor."""
        return {table.name: table.cell for table in self.tables}


def load_fleet(path: Path) -> FleetConfig:
    """Read and check a fleet file; raise :class:`BadFleet` with its first fault."""
    try:
        text = path.read_text(encoding="utf-8")
        plain = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadFleet(f"{path}: {error}", path=str(path)) from error
    try:
        file = msgspec.convert(plain, FleetFile)
    except (msgspec.ValidationError, CallboardError) as error:
        raise BadFleet(explain(path, text, str(error), tables=_TABLES), path=str(path)) from error
    home = path.resolve().parent
    look_beside(home)
    try:
        tables, specs = _check(file)
        llm = _check_llm(file, home, [spec.name for spec in specs])
        tables, specs = [*staff_of(llm), *tables], [*map(spec_from, staff_of(llm)), *specs]
    except Fault as fault:
        raise BadFleet(explain(path, text, fault.text, tables=_TABLES, at=fault.at), path=str(path)) from fault
    return FleetConfig(
        name=file.fleet.name, bus=file.bus, actors=tuple(specs), tables=tuple(tables), home=home, file=path.resolve(),
        groups=tuple(file.group), formations=tuple(file.cell), persons=tuple(file.person), memory=file.memory, llm=llm,
    )  # fmt: skip


def look_beside(home: Path) -> None:
    """Let ``use`` find modules beside the fleet file, and from the working directory, after PYTHONPATH."""
    for folder in (str(home), str(Path.cwd())):
        if folder not in sys.path:
            sys.path.append(folder)


def _check(file: FleetFile) -> tuple[list[ActorTable], list[ActorSpec]]:
    _name(file.fleet.name, "fleet", "$.fleet.name")
    if not file.actor:
        raise Fault("a fleet has at least one [[actor]]", "$.actor")
    tables: list[ActorTable] = []
    specs: list[ActorSpec] = []
    for index, table in enumerate(file.actor):
        at = f"$.actor[{index}]"
        spec = spec_from(table, at=at)
        _check_free(spec, at)
        if spec.name in {known.name for known in specs}:
            raise Fault(f"two actors are named {spec.name!r}; give one a 'name'", f"{at}.use")
        specs.append(spec)
        tables.append(msgspec.structs.replace(table, name=spec.name, cell=spec.cell))
    _check_targets(specs, tables)
    _check_memory(file.memory)
    check_formation(file.group, file.cell, {spec.cell: spec for spec in specs})
    return tables, specs


def spec_from(table: ActorTable, *, at: str = "$") -> ActorSpec:
    """Return the spec that an ``[[actor]]`` table means; imports its class."""
    actor = _import(table.use, f"{at}.use")
    name = table.name or actor.name
    _name(name, "actor", f"{at}.name")
    cell = table.cell or name
    _name(cell, "cell", f"{at}.cell")
    _check_health(table.health, at)
    return ActorSpec(
        actor=actor, name=name, cell=cell, replicas=table.replicas, private=table.private, door=table.door,
        open=table.open, restart=table.restart, intensity=table.intensity, health=table.health,
        may=actor.may if table.may is None else table.may, options=_options(actor, table.options, at),
        mailbox=table.mailbox, tries=table.tries, queue=table.queue, keep=table.keep,
    )  # fmt: skip


def _check_free(spec: ActorSpec, at: str) -> None:
    """Refuse the runtime's own names."""
    if is_reserved(spec.name):
        kept = f"not {sorted(RESERVED)}, nor {keeper_of('…')!r}"
        raise Fault(f"{spec.name!r} is kept for the runtime: {kept}", f"{at}.name")
    if spec.cell in RESERVED or spec.cell.startswith(CLIENTS) or len(spec.cell) > CELL_NAME_MOST:
        text = f"a cell is not called {spec.cell!r}: at most {CELL_NAME_MOST} characters"
        raise Fault(f"{text}, not {sorted(RESERVED)} or {CLIENTS}…", f"{at}.cell")


def _check_health(health: Health, at: str) -> None:
    if health.stalled_after <= health.silent_after:
        raise Fault(
            f"stalled_after = {health.stalled_after} must be longer than silent_after = {health.silent_after}",
            f"{at}.health.stalled_after",
        )
    if health.silent_after < SILENT_LEAST:
        raise Fault(
            f"silent_after = {health.silent_after} is below {SILENT_LEAST}: a busy machine misses some beats",
            f"{at}.health.silent_after",
        )


def _options(actor: type[Actor], given: dict[str, Any], at: str) -> Any:
    try:
        return msgspec.convert(given, actor.Options)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at `$")
        legal = ", ".join(actor.Options.__struct_fields__) or "none"
        raise Fault(f"{text}; legal: {legal}", f"{at}.options{path.rstrip('`')}") from error


def _check_targets(specs: Sequence[ActorSpec], tables: Sequence[ActorTable]) -> None:
    names = {spec.name for spec in specs}
    for index, spec in enumerate(specs):
        if tables[index].may is None:
            continue
        for verb in ("tell", "ask", "enqueue"):
            unknown = [name for name in spec.may.names(verb) if name not in names and name != "*"]
            if unknown:
                raise Fault(
                    f"no actor is named {unknown[0]!r}: {', '.join(sorted(names))}",
                    f"$.actor[{index}].may.{verb}",
                )


def _check_memory(table: EmbedderTable) -> None:
    from callboard.actors.embedding import choose_embedder  # not in each cell: the daemon alone checks the file

    try:
        choose_embedder(table)
    except CallboardError as error:
        raise Fault(error.text, f"$.memory.{error.detail.get('key') or 'embedder'}") from error


def _check_llm(file: FleetFile, home: Path, actors: list[str]) -> LlmConfig:
    try:
        llm = settle_llm(file.llm, file.endpoint, file.model, file.budget, actors=actors)
        if llm.local:
            from callboard.actors.models import model_named, require  # the same as below

            require(model_named(LOCAL_WEIGHTS))
    except CallboardError as error:
        raise Fault(error.text, f"$.{error.detail.get('key') or 'llm.local'}") from error
    _check_keys(llm, home)
    return llm


def _check_keys(llm: LlmConfig, home: Path) -> None:
    short = bool(llm.endpoints) and llm.endpoints[0].name == "default"
    for at, endpoint in enumerate(llm.endpoints, start=-short):
        try:
            read_key(file=endpoint.key_file, variable=endpoint.key_env, home=home)
        except CallboardError as error:
            table = "llm" if at < 0 or endpoint.name == "default" else f"endpoint[{at}]"
            raise Fault(error.text, f"$.{table}.{'key_env' if endpoint.key_env else 'key_file'}") from error


def staff_of(llm: LlmConfig) -> list[ActorTable]:
    """Return the actors that the runtime adds where agents ask models: the office, and the model in the box."""
    office = ActorTable(
        use="callboard.supervisor.office:Office", name=OFFICE, cell=OFFICE, options=msgspec.to_builtins(llm)
    )
    return [office, *([_local()] if llm.local else [])] if llm.on else []


def _local() -> ActorTable:
    from callboard.actors.models import HEALTH  # only who has a model in the box pays for it

    return ActorTable(
        use="callboard.actors.models.serving:LocalModel", name=LOCAL_MODEL, cell=LOCAL_MODEL, health=HEALTH
    )


def _name(name: str, kind: Any, at: str) -> None:
    try:
        checked(name, kind)
    except CallboardError as error:
        raise Fault(error.text, at) from error


def _import(use: str, at: str) -> type[Actor]:
    module_name, colon, attribute = use.partition(":")
    if not colon or not attribute.isidentifier():
        raise Fault(f"{use!r} is not 'package.module:Class'", at)
    try:
        found = getattr(importlib.import_module(module_name), attribute, None)
    except CallboardError as error:
        raise Fault(f"{use}: {error}", at) from error
    except (Exception, SystemExit) as error:
        raise Fault(f"{module_name} cannot be imported: {type(error).__name__}: {error}", at) from error
    if not (isinstance(found, type) and issubclass(found, Actor)):
        raise Fault(f"{use!r} is no Actor class", at)
    return found
