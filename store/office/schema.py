"""What kind of file ``office.db`` is, and where it is."""

from pathlib import Path
from typing import Final

from ..migrations import Migrations, packaged

OFFICE: Final = Migrations(kind="office", application_id=0x43426F31, steps=packaged("office"))


def path_of_office(state: Path) -> Path:
    """Return the path of the office's file below the folder `state`."""
    return state / "office.db"
