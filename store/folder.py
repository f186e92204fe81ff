"""Making the names in a folder outlive a power cut."""

import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Return when what was named, renamed and deleted in `folder` is on the disk."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
