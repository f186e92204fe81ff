"""A file system in memory that only some processes see: full, read-only, or larger on request.

It is mounted in a user and mount namespace of its own, so no rights are needed and nothing is left behind: the
namespace ends with the process that holds it, and the mount with the namespace.
"""

import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

_HOLD: Final = 'mount -t tmpfs -o "size=$1,mode=700" none "$0" && echo mounted && exec sleep 600'


class SmallDisk:
    """A mounted file system; commands that begin with :attr:`inside` see it."""

    def __init__(self, holder: "subprocess.Popen[str]", path: Path) -> None:
        self._path = path
        self.inside: Final = ["nsenter", "-t", str(holder.pid), "-U", "-m", "--preserve-credentials"]
        """What a command line begins with whose process is to see the mount."""

    @classmethod
    @contextmanager
    def mounted(cls, path: Path, size: str) -> Generator[Self]:
        """Mount `size` (as ``6m``) of memory at `path`, which is made, for the time of the block."""
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        command = ["unshare", "-Urm", "sh", "-c", _HOLD, str(path), size]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
            try:
                if holder.stdout is None or holder.stdout.readline() != "mounted\n":
                    raise RuntimeError(f"nothing can be mounted at {path} in a namespace of our own")
                yield cls(holder, path)
            finally:
                holder.kill()

    def remount(self, options: str) -> None:
        """Change the mount: ``ro``, ``rw``, ``size=64m``."""
        command = [*self.inside, "mount", "-o", f"remount,{options}", str(self._path)]
        subprocess.run(command, check=True, capture_output=True)
