"""A hostile repository: nothing of its own runs, nothing in it counts, nothing outside it is read."""

import subprocess
from pathlib import Path

import pytest
from examples.review.errors import BadCommits, BadSource, GitFailed, SaidTooMuch
from examples.review.git import git, read_blobs
from examples.review.report import Report
from examples.review.survey import survey
from tests.examples.made import MadeRepository, Reviewer

BAD = "import os\nimport subprocess\ndef run(x):\n    subprocess.call(x, shell=True)\n    return undefined\n"
SILENCE_RUFF = '[tool.ruff]\nexclude = ["*.py"]\n[tool.ruff.lint]\nselect = []\nignore = ["ALL"]\n'
SILENCE_BANDIT = "[bandit]\nskips = B101,B404,B602\nexclude = .\n"


@pytest.fixture
def traps(tmp_path: Path, made: MadeRepository) -> Path:
    """The directory in which each of the repository's own programs would leave a file."""
    sprung = tmp_path / "sprung"
    sprung.mkdir()

    def trap(name: str) -> str:
        script = tmp_path / f"trap-{name}"
        script.write_text(f"#!/bin/sh\ntouch '{sprung}/{name}'\ncat\n")
        script.chmod(0o755)
        return str(script)

    made.write(".gitattributes", "*.py filter=evil diff=evil merge=evil\n")
    made.commit(bad=BAD)
    for hook in ("post-checkout", "post-index-change", "reference-transaction", "pre-auto-gc"):
        (made.path / ".git" / "hooks" / hook).write_text(Path(trap(f"hook-{hook}")).read_text())
        (made.path / ".git" / "hooks" / hook).chmod(0o755)
    for key in (
        "core.fsmonitor",
        "core.pager",
        "core.sshCommand",
        "core.askPass",
        "core.editor",
        "diff.external",
    ):
        made.git("config", key, trap(key))
    for key in ("filter.evil.clean", "filter.evil.smudge", "filter.evil.process", "diff.evil.textconv"):
        made.git("config", key, trap(key))
    for key in (
        "diff.evil.command",
        "merge.evil.driver",
        "gpg.program",
        "credential.helper",
        "uploadpack.packObjectsHook",
    ):
        made.git("config", key, trap(key))
    made.git("config", "alias.ls-tree", f"!{trap('alias')}")
    return sprung


async def test_no_program_of_the_repository_runs(made: MadeRepository, traps: Path, reviewer: Reviewer) -> None:
    made.write("bad.py", BAD.replace("(x)", "(y)"))  # looks changed: this is when git asks filters
    for commits in ("", "HEAD", "HEAD..HEAD"):
        await reviewer.review(made, commits)
    assert _sprung(traps) == set()


def test_the_traps_spring_for_those_who_walk_in(made: MadeRepository, traps: Path) -> None:
    made.write("bad.py", BAD.replace("(x)", "(y)"))
    made.git("status", "--porcelain")
    for key in ("core.fsmonitor", "filter.evil.process"):
        made.git("config", "--unset", key)
    made.git("status", "--porcelain")
    assert {"core.fsmonitor", "filter.evil.clean"} <= _sprung(traps)


def _sprung(traps: Path) -> set[str]:
    return {each.name for each in traps.iterdir()}


async def test_missing_objects_are_not_fetched(tmp_path: Path, made: MadeRepository, reviewer: Reviewer) -> None:
    made.commit(bad=BAD)
    blob = made.git("rev-parse", "HEAD:bad.py")
    (made.path / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    for key, value in (
        ("core.repositoryFormatVersion", "1"),
        ("extensions.partialClone", "origin"),
        ("remote.origin.promisor", "true"),
        ("remote.origin.url", f"ext::sh -c touch% {tmp_path}/fetched"),
        ("protocol.ext.allow", "always"),
    ):
        made.git("config", key, value)
    repository = await reviewer.open(made)
    with pytest.raises((BadSource, GitFailed)):
        await read_blobs(repository, [blob], most=1000)
    report = await reviewer.review(made)
    assert report.summary.files == 0
    assert any("not in the repository" in note for note in report.notes)
    assert not (tmp_path / "fetched").exists()
    with pytest.raises(subprocess.CalledProcessError):
        made.git("cat-file", "blob", blob)
    assert (tmp_path / "fetched").exists(), "the trap does not spring for those who walk in"


async def test_its_configuration_of_the_analysers_counts_for_nothing(made: MadeRepository, reviewer: Reviewer) -> None:
    made.commit(bad=BAD)
    plain = _found(await reviewer.review(made))
    for name in ("pyproject.toml", "ruff.toml", ".ruff.toml", "setup.cfg", "tox.ini"):
        made.write(name, SILENCE_RUFF)
    made.write("bandit.yaml", "skips: [B602]\n")
    made.write(".bandit", SILENCE_BANDIT)
    made.commit()
    assert _found(await reviewer.review(made)) == plain
    assert {"F401", "F821", "B404", "B602"} <= {rule for _, rule in plain}


def _found(report: Report) -> list[tuple[str, str]]:
    return [(finding.path, finding.rule) for finding in report.findings]


async def test_links_and_submodules_are_not_followed(tmp_path: Path, made: MadeRepository, reviewer: Reviewer) -> None:
    (tmp_path / "outside.py").write_text(BAD)
    (made.path / "link.py").symlink_to(tmp_path / "outside.py")
    (made.path / "up").symlink_to("..")
    made.commit(fine="X = 1\n")
    made.git("update-index", "--add", "--cacheinfo", f"160000,{made.git('rev-parse', 'HEAD')},sub.py")
    made.git("commit", "--quiet", "--message=sub")
    report = await reviewer.review(made)
    assert [file.path for file in report.files] == ["fine.py"]
    assert "Left out: 2 symbolic links." in report.notes
    assert "Left out: 1 submodules." in report.notes


async def test_odd_names_are_read_and_shown_without_harm(made: MadeRepository, reviewer: Reviewer) -> None:
    odd = ["a\nb.py", 'q"uote.py', "-rf.py", "tab\t.py", "bidi\u202e.py", "sp ace.py", "*.py", ":(top)x.py"]
    for name in odd:
        made.write(name, BAD)
    made.write(b"latin-\xe9.py", BAD)
    made.commit()
    report = await reviewer.review(made, sarif=True)
    assert {file.path for file in report.files} == set(odd)
    assert {finding.path for finding in report.findings} == set(odd)
    assert "Left out: 1 Python files whose names are not UTF-8." in report.notes
    assert all(line.isprintable() for line in report.text.splitlines())


@pytest.mark.parametrize("commits", ["--help", "-x..HEAD", "HEAD..--output=x", "HEAD:bad.py", "nobody", "..."])
async def test_commits_that_are_no_commits_are_refused(made: MadeRepository, reviewer: Reviewer, commits: str) -> None:
    made.commit(bad=BAD)
    with pytest.raises(BadCommits):
        await survey(await reviewer.open(made), commits)


@pytest.mark.parametrize("blob", ["HEAD", "HEAD:bad.py", "a" * 40, "a" * 40 + "\n" + "b" * 40, "", "--textconv"])
async def test_only_ids_of_blobs_are_read(made: MadeRepository, reviewer: Reviewer, blob: str) -> None:
    made.commit(bad=BAD)
    with pytest.raises(BadSource):
        await read_blobs(await reviewer.open(made), [blob], most=1000)


async def test_a_tree_is_no_blob(made: MadeRepository, reviewer: Reviewer) -> None:
    made.commit(bad=BAD)
    with pytest.raises(BadSource):
        await read_blobs(await reviewer.open(made), [made.git("rev-parse", "HEAD^{tree}")], most=1000)


async def test_a_blob_larger_than_it_was_said_to_be_is_not_read(made: MadeRepository, reviewer: Reviewer) -> None:
    made.commit(big="#" * 5000)
    with pytest.raises(SaidTooMuch):
        await read_blobs(await reviewer.open(made), [made.git("rev-parse", "HEAD:big.py")], most=100)


async def test_replaced_objects_are_seen_as_they_were_committed(made: MadeRepository, reviewer: Reviewer) -> None:
    made.commit(bad=BAD)
    innocent = made.git("hash-object", "-w", "--stdin", stdin=b"x = 1\n")
    made.git("replace", made.git("rev-parse", "HEAD:bad.py"), innocent)
    assert any(finding.rule == "B602" for finding in (await reviewer.review(made)).findings)


async def test_errors_do_not_tell_the_paths_of_the_machine(made: MadeRepository, reviewer: Reviewer) -> None:
    made.commit(bad=BAD)
    repository = await reviewer.open(made)
    (made.path / ".git" / "config").write_text("[broken")
    with pytest.raises(GitFailed) as failed:
        await git(repository, "rev-parse", "HEAD")
    assert str(made.path) not in failed.value.text


async def test_the_report_tells_no_path_of_the_machine(
    tmp_path: Path, made: MadeRepository, reviewer: Reviewer
) -> None:
    made.commit(bad=BAD, broken="def f(:\n")
    report = await reviewer.review(made, sarif=True)
    assert report.repository == "sample"
    assert str(tmp_path) not in repr(report)
    assert "/proc/self" not in repr(report)
