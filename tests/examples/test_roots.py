"""The path gate: only what lies below the roots is read, wherever links and pointers lead."""

from pathlib import Path

import pytest
from examples.review.errors import NotARepository, OutsideRoots
from examples.review.repository import locate
from examples.review.roots import Gate
from tests.examples.made import MadeRepository


@pytest.fixture
def roots(tmp_path: Path) -> Path:
    """A root with a repository beside it that may not be read."""
    MadeRepository(tmp_path / "secret").commit(hidden="TOKEN = 1\n")
    MadeRepository(tmp_path / "roots" / "open").commit(fine="x = 1\n")
    return tmp_path / "roots"


@pytest.fixture
def gate(roots: Path) -> Gate:
    """The gate of that root."""
    return Gate([str(roots)])


@pytest.mark.parametrize("path", ["", "/", "..", "../secret", "/etc", "a\0b", "open/../../secret", "../roots2"])
def test_a_path_outside_is_refused(tmp_path: Path, path: str) -> None:
    (tmp_path / "roots").mkdir()
    (tmp_path / "roots2").mkdir()
    with pytest.raises(OutsideRoots):
        Gate(["."], base=tmp_path / "roots").check(path)


def test_a_root_and_what_is_below_it_pass(roots: Path, gate: Gate) -> None:
    assert gate.check(roots) == roots
    assert gate.check(f"{roots}/open/../open") == roots / "open"


def test_relative_paths_and_roots_start_at_the_base(tmp_path: Path) -> None:
    assert Gate(["a"], base=tmp_path).check("a/b") == tmp_path / "a" / "b"


def test_a_link_to_the_outside_is_refused(roots: Path, gate: Gate) -> None:
    (roots / "link").symlink_to(roots.parent / "secret")
    with pytest.raises(OutsideRoots):
        locate(str(roots / "link"), gate)


def test_what_is_not_there_is_refused_in_the_same_words(roots: Path, gate: Gate) -> None:
    words = set[str]()
    for name in ("secret", "nobody"):
        with pytest.raises(OutsideRoots) as refused:
            gate.check(roots.parent / name)
        words.add(refused.value.text.replace(name, ""))
    assert len(words) == 1


def test_a_repository_is_named_by_its_last_part_alone(roots: Path, gate: Gate) -> None:
    assert locate(str(roots / "open"), gate).name == "open"


def test_a_bare_repository_has_no_work_tree(roots: Path, gate: Gate) -> None:
    MadeRepository(roots / "open").git("clone", "--quiet", "--bare", ".", str(roots / "copy.git"))
    found = locate(str(roots / "copy.git"), gate)
    assert (found.name, found.work_tree) == ("copy", None)


def test_a_linked_work_tree_inside_the_roots_is_read(roots: Path, gate: Gate) -> None:
    MadeRepository(roots / "open").git("worktree", "add", "--quiet", "--detach", str(roots / "linked"))
    assert locate(str(roots / "linked"), gate).work_tree == str(roots / "linked")


@pytest.mark.parametrize("path", ["open/sub", "nothing", "open/fine.py"])
def test_what_is_no_top_directory_is_no_repository(roots: Path, gate: Gate, path: str) -> None:
    (roots / "open" / "sub").mkdir()
    with pytest.raises(NotARepository):
        locate(str(roots / path), gate)


def _dot_git_link(top: Path, secret: Path) -> None:
    top.mkdir()
    (top / ".git").symlink_to(secret / ".git")


def _dot_git_file(top: Path, secret: Path) -> None:
    top.mkdir()
    (top / ".git").write_text(f"gitdir: {secret}/.git\n")


def _commondir(top: Path, secret: Path) -> None:
    MadeRepository(top)
    (top / ".git" / "commondir").write_text(f"{secret}/.git\n")


def _alternates(top: Path, secret: Path) -> None:
    MadeRepository(top)
    (top / ".git" / "objects" / "info" / "alternates").write_text(f"# c\n{secret}/.git/objects\n")


def _nested_alternates(top: Path, secret: Path) -> None:
    _alternates(top.with_name("between"), secret)
    MadeRepository(top)
    (top / ".git" / "objects" / "info" / "alternates").write_text("../../../between/.git/objects\n")


def _objects_link(top: Path, secret: Path) -> None:
    MadeRepository(top)
    (top / ".git" / "objects").rename(top / "old")
    (top / ".git" / "objects").symlink_to(secret / ".git" / "objects")


def _pack_link(top: Path, secret: Path) -> None:
    MadeRepository(top)
    (top / ".git" / "objects" / "pack" / "pack-1.pack").symlink_to(secret / ".git" / "config")


@pytest.mark.parametrize(
    "lead",
    [_dot_git_link, _dot_git_file, _commondir, _alternates, _nested_alternates, _objects_link, _pack_link],
)
def test_no_road_out_of_a_git_directory_is_followed(roots: Path, gate: Gate, lead: object) -> None:
    assert callable(lead)
    lead(roots / "hostile", roots.parent / "secret")
    with pytest.raises(OutsideRoots):
        locate(str(roots / "hostile"), gate)


@pytest.mark.parametrize("text", ["#" * 5000, '"quoted"\n'])
def test_alternates_that_cannot_be_checked_whole_are_refused(roots: Path, gate: Gate, text: str) -> None:
    (roots / "open" / ".git" / "objects" / "info" / "alternates").write_text(text)
    with pytest.raises(NotARepository):
        locate(str(roots / "open"), gate)
