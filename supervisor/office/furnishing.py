"""What the office's actor is given by its cell: its file, opened at its first use, and its state of this life."""

import functools
from typing import TYPE_CHECKING

import msgspec
from anyio.abc import TaskGroup

from callboard.actors import ActorSpec
from callboard.names import OFFICE

from ..files import Files

if TYPE_CHECKING:
    from callboard.store.office import OfficeFile

    from ..cell import Cell


def furnished(spec: ActorSpec, cell: "Cell", tasks: TaskGroup) -> ActorSpec:
    """Return the spec of the office with its state, which `tasks` keep; any other as it is."""
    if spec.name != OFFICE:
        return spec
    from callboard.store.office import open_office

    from .state import OfficeState

    files: Files[OfficeFile] = Files(
        lambda _actor: open_office(cell.state, epoch=cell.epoch, clock=cell.clock), tasks=tasks
    )
    state = OfficeState(
        spec.options, file=functools.partial(files.file_of, OFFICE), clock=cell.clock, homes=cell.homes,
        life=cell.epoch, report=cell.report,
    )  # fmt: skip
    tasks.start_soon(state.keep_house)
    return msgspec.structs.replace(spec, options=state)
