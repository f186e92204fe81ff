"""Where models lie on this machine, and whether one is whole. Blocks on the disk."""

import hashlib
import os
from enum import StrEnum
from pathlib import Path
from typing import Final

from .catalogue import Member, Model
from .errors import ModelAbsent

VARIABLE: Final = "CALLBOARD_MODELS"


class State(StrEnum):
    """What is to be found of a model."""

    FETCHED = "fetched"
    ABSENT = "absent"
    DAMAGED = "damaged"


def models_folder() -> Path:
    """Return the folder of all models: as CALLBOARD_MODELS says, else in the folder of the user's data."""
    if os.environ.get(VARIABLE):
        return Path(os.environ[VARIABLE])
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "callboard" / "models"


def path_of(model: Model, root: Path | None = None) -> Path:
    """Return the folder of a model, whether it is there or not."""
    return (root or models_folder()) / f"{model.name}-{model.revision}"


def state_of(model: Model, root: Path | None = None) -> State:
    """Look at each of a model's files, by its hash."""
    folder = path_of(model, root)
    if not folder.is_dir():
        return State.ABSENT
    whole = all(_is_whole(folder / member.name, member) for member in model.members)
    return State.FETCHED if whole else State.DAMAGED


def require(model: Model, root: Path | None = None) -> Path:
    """Return the folder of a model whose files are all there and whole. Raises ModelAbsent."""
    state = state_of(model, root)
    if state is not State.FETCHED:
        folder = path_of(model, root)
        raise ModelAbsent(
            f"the model {model.name} is {state.value} at {folder}; 'callboard model fetch {model.name}' brings it",
            model=model.name, path=str(folder), state=state.value,
        )  # fmt: skip
    return path_of(model, root)


def _is_whole(path: Path, member: Member) -> bool:
    try:
        with path.open("rb") as file:
            return (
                os.fstat(file.fileno()).st_size == member.size
                and hashlib.file_digest(file, "sha256").hexdigest() == member.sha256
            )
    except OSError:
        return False
