"""The shape of the house: sizes, doors, and what the repository may say."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("actors", "bus", "store", "supervisor", "src/callboard")
FILE_WALL, FUNCTION_WALL = 400, 40
DOORS = {
    "nats": "bus", "sqlite3": "store", "aiosqlite": "store", "hnswlib": "store",
    "openai": "actors/llm", "h11": "actors/llm", "onnxruntime": "actors/embedding", "tokenizers": "actors/embedding",
    "xllamacpp": "actors/models",
}  # fmt: skip
THRESHOLDS = ("testing", "embedding", "llm", "models", "episodes", "office")
"""Sub-rooms that have a threshold of their own."""


def modules() -> Iterator[tuple[Path, ast.Module]]:
    for room in ROOMS:
        for file in sorted((ROOT / room).rglob("*.py")):
            if room != "src/callboard" or file.parent == ROOT / room:
                yield file.relative_to(ROOT), ast.parse(file.read_text(encoding="utf-8"))


def test_no_module_is_longer_than_the_wall() -> None:
    lengths = {str(file): len((ROOT / file).read_text(encoding="utf-8").splitlines()) for file, _ in modules()}
    assert {name: length for name, length in lengths.items() if length > FILE_WALL} == {}


def test_no_function_is_longer_than_the_wall() -> None:
    long = [
        f"{file}:{node.lineno} {node.name}"
        for file, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno + 1 - len((ast.get_docstring(node) or "").splitlines()) > FUNCTION_WALL
    ]
    assert long == []


@pytest.mark.parametrize(("package", "room"), DOORS.items())
def test_each_third_party_has_one_door(package: str, room: str) -> None:
    for file, tree in modules():
        names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
        names += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and not node.level]
        if any(name.partition(".")[0] == package for name in names):
            assert file.is_relative_to(room), file


def test_rooms_import_each_other_only_by_their_threshold() -> None:
    inside = re.compile(rf"callboard\.(actors|bus|store)\.(?!({'|'.join(THRESHOLDS)})$)[\w.]+")
    found = [
        f"{file}: {node.module}"
        for file, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and not node.level and inside.fullmatch(node.module or "")
    ]
    assert found == []


def test_no_public_name_is_exported_by_two_rooms() -> None:
    seen: dict[str, str] = {}
    for room in ("actors", "bus", "store"):
        tree = ast.parse((ROOT / room / "__init__.py").read_text(encoding="utf-8"))
        for node in tree.body:
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    name = alias.asname or alias.name
                    assert name not in seen, f"{name} is exported by {seen.get(name)} and {room}"
                    seen[name] = room


def test_nothing_is_swallowed_and_nothing_is_left_undone() -> None:
    found = []
    for file, tree in modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.ExceptHandler) and all(isinstance(line, ast.Pass) for line in node.body):
                found.append(f"{file}:{node.lineno} except: pass")
            if isinstance(node, ast.Name) and node.id == "NotImplementedError":
                found.append(f"{file}:{node.lineno} NotImplementedError")
    assert found == []


def test_the_repository_names_no_path_of_a_machine() -> None:
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    pattern = re.compile(r"(?<![\w.])/(?:work|farm|root)/")
    found = [
        file
        for file in files
        if (ROOT / file).is_file() and not (ROOT / file).is_symlink() and file != "tests/test_architecture.py"
        if pattern.search((ROOT / file).read_bytes().decode(errors="replace"))
    ]
    assert found == []
