"""One living owner for each file."""

import fcntl
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from callboard.store import OwnerConflict, OwnerLock, StoreError

HOLD: Final = """
import sys, time
from pathlib import Path
from callboard.store import OwnerLock
lock = OwnerLock(Path(sys.argv[1]))
lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.db"


@pytest.fixture
def holder(path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A second process that holds the lock until its input ends."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_another_process_is_refused_with_the_holders_pid(path: Path, holder: "subprocess.Popen[bytes]") -> None:
    with pytest.raises(OwnerConflict, match=f"process {holder.pid}") as caught:
        OwnerLock(path).acquire()
    assert caught.value.detail == {"path": str(path), "pid": holder.pid}


def test_a_killed_holder_is_no_obstacle(path: Path, holder: "subprocess.Popen[bytes]") -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait(10)
    with OwnerLock(path):
        pass


def test_a_conflict_names_nobody_if_the_note_is_not_of_a_living_process(path: Path) -> None:
    with OwnerLock(path) as lock:
        for note in (b"", b"garbage", b'{"pid":1,"started":123456789}', b'{"pid":0,"started":0}'):
            lock.path.write_bytes(note)
            with pytest.raises(OwnerConflict, match="a living process") as caught:
                OwnerLock(path).acquire()
            assert caught.value.detail["pid"] is None


def test_a_stale_file_is_no_obstacle(path: Path) -> None:
    path.with_name("a.db.lock").write_text(f'{{"pid":{os.getpid()},"started":1}}')
    with OwnerLock(path):
        pass


def test_a_deleted_lock_file_gives_the_next_owner_a_new_one(path: Path) -> None:
    with OwnerLock(path):
        pass
    path.with_name("a.db.lock").unlink()
    with OwnerLock(path), pytest.raises(OwnerConflict):
        OwnerLock(path).acquire()


def test_a_lock_file_deleted_while_it_is_taken_is_not_trusted(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between open and flock another process may delete the file: then two could each lock one of that name."""
    real, deleted = fcntl.flock, list[int]()

    def flock(fd: int, operation: int) -> None:
        if not deleted:
            deleted.append(fd)
            path.with_name("a.db.lock").unlink()
        real(fd, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    with OwnerLock(path), pytest.raises(OwnerConflict):
        OwnerLock(path).acquire()
    assert deleted


def test_a_lock_can_be_taken_again_after_its_release_but_not_twice(path: Path) -> None:
    lock = OwnerLock(path)
    for _ in range(3):
        lock.acquire()
        with pytest.raises(OwnerConflict):
            lock.acquire()
        lock.release()
    lock.release()


def test_the_lock_file_is_private_and_not_inherited(path: Path) -> None:
    with OwnerLock(path) as lock:
        assert stat.S_IMODE(lock.path.stat().st_mode) == 0o600
        [fd] = [link for link in Path("/proc/self/fd").iterdir() if _leads_to(link, lock.path)]
        assert not os.get_inheritable(int(fd.name))


def _leads_to(link: Path, path: Path) -> bool:
    try:
        return link.readlink() == path
    except OSError:
        return False


def test_a_lock_file_that_is_a_link_is_refused(path: Path, tmp_path: Path) -> None:
    path.with_name("a.db.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match=r"a\.db"):
        OwnerLock(path).acquire()
    assert not (tmp_path / "elsewhere").exists()
