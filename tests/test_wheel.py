"""The built wheel holds exactly the modules of the tree: each silent loss of a packaging mistake is caught here."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("actors", "bus", "store", "supervisor")


def expected() -> set[str]:
    """Return the files of the tree that belong into the wheel, by their names in it."""
    found = {f"callboard/{file.name}" for file in (ROOT / "src" / "callboard").glob("*.py")} | {"callboard/py.typed"}
    for room in ROOMS:
        for file in (ROOT / room).rglob("*"):
            belongs = file.suffix in {".py", ".sql"} or "templates" in file.parts
            if file.is_file() and belongs and "__pycache__" not in file.parts:
                found.add(f"callboard/{file.relative_to(ROOT)}")
    return found


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(target), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return next(target.glob("*.whl"))


def test_the_wheel_holds_exactly_the_modules_of_the_tree(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if name.startswith("callboard/")}
    assert packed == expected()


def test_the_wheel_brings_no_other_top_level_name(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.partition("/")[0] for name in archive.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"callboard"}


def test_the_four_links_point_to_the_rooms() -> None:
    for room in ROOMS:
        link = ROOT / "src" / "callboard" / room
        assert link.is_symlink()
        assert str(link.readlink()) == f"../../{room}"
