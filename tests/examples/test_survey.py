"""The survey: which files are reviewed, at which commit, on which page, and what is said of the rest."""

import pytest
from examples.review.commits import Commits, parse
from examples.review.errors import BadCommits
from examples.review.limits import BATCH_BYTES, BATCH_FILES, Limits
from examples.review.survey import DIRTY, NO_TESTS, batches, survey
from examples.review.tree import Source, is_test
from tests.examples.made import MadeRepository, Reviewer


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("", Commits(base=None, tip="HEAD")),
        ("v1.0", Commits(base=None, tip="v1.0")),
        ("main..feature/x", Commits(base="main", tip="feature/x")),
        ("main..", Commits(base="main", tip="HEAD")),
        ("..main~2", Commits(base="HEAD", tip="main~2")),
        ("HEAD^..@", Commits(base="HEAD^", tip="@")),
    ],
)
def test_commits_are_read_as_git_reads_them(text: str, meant: Commits) -> None:
    assert parse(text) == meant


@pytest.mark.parametrize(
    "text", ["-x", "a...b", "a..b..c", "a b", "a\nb", "a:b", "a;b", "x" * 201, "^a", "a..-b", "a\0"]
)
def test_other_commits_are_refused_with_what_is_legal(text: str) -> None:
    with pytest.raises(BadCommits, match=r"A\.\.B"):
        parse(text)


async def test_all_python_files_of_the_head_are_chosen_in_order(made: MadeRepository, reviewer: Reviewer) -> None:
    made.write("z/deep.py", "x = 1\n")
    made.write("notes.txt", "x")
    head = made.commit(b="x = 1\n", a="x = 22\n")
    page = await survey(await reviewer.open(made))
    assert (page.repository, page.commit, page.base, page.pages) == ("sample", head, None, 1)
    assert [(file.path, file.size) for file in page.files] == [("a.py", 7), ("b.py", 6), ("z/deep.py", 6)]


async def test_a_range_chooses_what_differs_and_still_exists(made: MadeRepository, reviewer: Reviewer) -> None:
    base = made.commit(same="x = 1\n", changed="x = 1\n", gone="x = 1\n", test_it="x = 1\n")
    (made.path / "gone.py").unlink()
    tip = made.commit(changed="x = 2\n", new="x = 1\n")
    page = await survey(await reviewer.open(made), f"{base}..HEAD")
    assert (page.base, page.commit) == (base, tip)
    assert [file.path for file in page.files] == ["changed.py", "new.py"]
    assert NO_TESTS not in page.notes


async def test_an_old_revision_is_reviewed_as_it_was(made: MadeRepository, reviewer: Reviewer) -> None:
    made.commit(a="x = 1\n")
    made.commit(b="x = 1\n")
    assert [file.path for file in (await survey(await reviewer.open(made), "HEAD~1")).files] == ["a.py"]


async def test_a_repository_without_a_commit_is_refused(made: MadeRepository, reviewer: Reviewer) -> None:
    with pytest.raises(BadCommits):
        await survey(await reviewer.open(made))


async def test_a_bare_repository_is_surveyed(made: MadeRepository, reviewer: Reviewer) -> None:
    made.commit(a="x = 1\n")
    made.git("clone", "--quiet", "--bare", ".", "../bare.git")
    page = await survey(await reviewer.open(made.path.with_name("bare.git")))
    assert (page.repository, len(page.files)) == ("bare", 1)


async def test_an_empty_commit_has_one_empty_page(made: MadeRepository, reviewer: Reviewer) -> None:
    made.commit()
    page = await survey(await reviewer.open(made))
    assert (page.files, page.pages) == ((), 1)


async def test_pages_together_hold_each_file_once(made: MadeRepository, reviewer: Reviewer) -> None:
    made.commit(**{f"m{number}": "x = 1\n" for number in range(7)})
    repository = await reviewer.open(made)
    limits = Limits(page_files=3)
    first = await survey(repository, limits=limits)
    pages = [await survey(repository, first.commits, page=number, limits=limits) for number in range(first.pages)]
    assert [len(page.files) for page in pages] == [3, 3, 1]
    assert [file.path for page in pages for file in page.files] == [f"m{number}.py" for number in range(7)]


async def test_later_pages_are_of_the_commit_of_the_first(made: MadeRepository, reviewer: Reviewer) -> None:
    made.commit(a="x = 1\n", b="x = 1\n")
    repository = await reviewer.open(made)
    first = await survey(repository, limits=Limits(page_files=1))
    made.commit(a0="x = 1\n")
    second = await survey(repository, first.commits, page=1, limits=Limits(page_files=1))
    assert (second.commit, [file.path for file in second.files]) == (first.commit, ["b.py"])


async def test_limits_leave_out_and_say_so(made: MadeRepository, reviewer: Reviewer) -> None:
    made.commit(a="x" * 2000, b="x = 1\n", c="x = 1\n", d="x = 1\n", **{"n" * 60: "x = 1\n"})
    page = await survey(await reviewer.open(made), limits=Limits(file=1024, files=2, path=50))
    assert [file.path for file in page.files] == ["b.py", "c.py"]
    assert "Left out: 1 Python files of more than 1 KiB." in page.notes
    assert "Left out: 1 Python files beyond the first 2." in page.notes
    assert "Left out: 1 Python files with a path of more than 50 bytes." in page.notes


async def test_a_clean_work_tree_is_not_called_dirty(made: MadeRepository, reviewer: Reviewer) -> None:
    made.write(".gitignore", "*.log\n")
    made.write("crlf.py", "x = 1\n")
    made.commit(a="x = 1\n")
    made.write("ignored.log", "x")
    made.write("crlf.py", "x = 1\r\n")
    (made.path / "a.py").touch()
    assert DIRTY not in (await survey(await reviewer.open(made))).notes


@pytest.mark.parametrize("change", ["edit", "delete", "stage", "untracked", "mode", "link", "fifo-parent"])
async def test_a_dirty_work_tree_is_called_so_and_not_reviewed(
    made: MadeRepository, reviewer: Reviewer, change: str
) -> None:
    made.write("pkg/a.py", "x = 1\n")
    made.commit()
    clean = await survey(await reviewer.open(made))
    _dirty(made, change)
    page = await survey(await reviewer.open(made))
    assert page.notes == (*clean.notes, DIRTY)
    assert page.files == clean.files


def _dirty(made: MadeRepository, change: str) -> None:
    file = made.path / "pkg" / "a.py"
    match change:
        case "edit":
            file.write_text("x = 2\n")
        case "delete":
            file.unlink()
        case "stage":
            made.write("b.py", "x = 1\n")
            made.git("add", "b.py")
        case "untracked":
            made.write("b.py", "x = 1\n")
        case "mode":
            made.git("update-index", "--chmod=+x", "pkg/a.py")
        case "link":
            file.rename(made.path / ".git" / "a.py")
            file.symlink_to("../.git/a.py")
        case _:
            file.parent.rename(made.path / ".git" / "pkg")
            (made.path / "pkg").symlink_to(".git/pkg")


async def test_a_dirty_work_tree_does_not_matter_to_an_older_commit(made: MadeRepository, reviewer: Reviewer) -> None:
    made.commit(a="x = 1\n")
    made.commit(b="x = 1\n")
    made.write("a.py", "x = 2\n")
    assert DIRTY not in (await survey(await reviewer.open(made), "HEAD~1")).notes


@pytest.mark.parametrize(
    ("path", "test"),
    [
        ("tests/x.py", True),
        ("a/test/b/x.py", True),
        ("test_x.py", True),
        ("x_test.py", True),
        ("conftest.py", True),
        ("contest.py", False),
        ("testing/x.py", False),
    ],
)
def test_test_files_are_told_by_their_names(path: str, test: bool) -> None:
    assert is_test(path) is test


def test_batches_are_bounded_and_lose_nothing() -> None:
    sizes = [10, BATCH_BYTES, 10, BATCH_BYTES - 5, *[1] * (BATCH_FILES + 3)]
    files = [Source(path=f"{at}.py", blob="a" * 40, size=size) for at, size in enumerate(sizes)]
    made = batches(files)
    assert [file for batch in made for file in batch] == files
    assert all(len(batch) <= BATCH_FILES for batch in made)
    assert all(len(batch) == 1 or sum(file.size for file in batch) <= BATCH_BYTES for batch in made)
    assert batches([]) == []
