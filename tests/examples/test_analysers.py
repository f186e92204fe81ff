"""The analysers: what they find, what hostile source does to them, and what a killed one changes: nothing."""

import os
import signal
import sys
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from examples.review.errors import ToolFailed
from examples.review.finding import Finding
from examples.review.gaps import find_gaps, with_untested, words
from examples.review.job import Content, Done, Trade
from examples.review.metrics import complexity, functions, measure
from examples.review.parse import Unparsable, parse
from examples.review.process import Finished
from examples.review.run_ruff import lint, understand
from examples.review.workshop import work
from tests.examples.made import MadeRepository, Reviewer

HOSTILE = {
    "syntax": b"def f(:\n",
    "nul": b"x = 1\0\n",
    "unary": b"x=" + b"-" * 200_000 + b"1",
    "binary": b"x=" + b"1+" * 100_000 + b"1",
    "attributes": b"x" + b".a" * 100_000,
    "calls": b"f" + b"()" * 50_000,
    "elif": b"if 1: pass\n" + b"elif 1: pass\n" * 20_000,
    "digits": b"x=" + b"9" * 10_000,
    "encoding": b"# coding: nope\nx = 1\n",
    "return": b"return 1\n",
    "latin": b"x = '\xe9'\n",
    "brackets": b"[" * 100_000,
}


def _file(source: str | bytes, path: str = "m.py") -> tuple[Content, ...]:
    return (Content(path, source.encode() if isinstance(source, str) else source),)


def _rules(findings: tuple[Finding, ...]) -> list[tuple[int, str]]:
    return sorted((finding.line, finding.rule) for finding in findings)


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_file_that_is_no_python_gives_one_finding(made: MadeRepository, reviewer: Reviewer, name: str) -> None:
    made.write("bad.py", HOSTILE[name])
    made.commit(fine="def f():\n    return undefined\n")
    report = await reviewer.review(made)
    assert [finding.rule for finding in report.findings if finding.path == "bad.py"] == ["unparsable"]
    assert [finding.rule for finding in report.findings if finding.path == "fine.py"] == ["F821"]


async def test_deep_but_legal_source_is_measured(made: MadeRepository, reviewer: Reviewer) -> None:
    deep = "def f():\n" + "".join(f"{' ' * at}if x:\n" for at in range(1, 90)) + " " * 90 + "pass\n"
    made.commit(deep=deep)
    (file,) = (await reviewer.review(made)).files
    assert (file.parsed, file.complexity) == (True, 90)


async def test_ruff_finds_what_it_is_asked_for() -> None:
    done = await lint(_file("import os\ntry:\n    x\nexcept:\n    pass\n"))
    assert _rules(done.findings) == [(1, "F401"), (3, "B018"), (3, "F821"), (4, "E722")]
    assert {finding.rule: finding.severity for finding in done.findings} == {
        "F401": "medium",
        "B018": "medium",
        "F821": "high",
        "E722": "low",
    }


async def test_ruff_reads_the_encoding_a_file_declares() -> None:
    done = await lint(_file(b"# coding: latin-1\nx = '\xe9'\nundefined\n"))
    assert (3, "F821") in _rules(done.findings)
    assert done.unchecked == ()


async def test_ruff_treats_a_package_file_apart() -> None:
    assert _rules((await lint(_file("import os\n", "p/__init__.py"))).findings) == [(1, "F401")]
    assert (await lint(_file("import os as os\n", "p/__init__.py"))).findings == ()


@pytest.mark.parametrize("code", [2, 101, -signal.SIGABRT, -signal.SIGSEGV])
def test_a_file_that_ruff_dies_of_is_unchecked(code: int) -> None:
    assert understand("m.py", Finished(code, b"", b"")) == Done(unchecked=("m.py",))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_ruff_killed_from_outside_is_an_error(number: signal.Signals) -> None:
    with pytest.raises(ToolFailed):
        understand("m.py", Finished(-number, b"", b""))


async def test_bandit_finds_and_honours_nosec() -> None:
    done = await work("bandit", _file("import pickle\nexec('1')\nexec('2')  # nosec\n"))
    assert _rules(done.findings) == [(1, "B403"), (2, "B102")]
    assert {finding.path for finding in done.findings} == {"m.py"}


async def test_bandit_says_which_files_it_gave_up_on() -> None:
    done = await work("bandit", (*_file(HOSTILE["calls"], "deep.py"), *_file("exec('1')\n", "next.py")))
    assert done.unchecked == ("deep.py",)
    assert {finding.path for finding in done.findings} == {"next.py"}


async def test_nothing_to_do_starts_no_process() -> None:
    assert await work("metrics", ()) == Done()


async def test_bandit_sees_no_configuration_where_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".bandit").write_text("[bandit]\nskips = B102\n")
    (tmp_path / "bandit.py").write_text("raise SystemExit('shadowed')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert _rules((await work("bandit", _file("exec('1')\n"))).findings) == [(1, "B102")]


@pytest.mark.parametrize("trade", ["bandit", "metrics", "gaps"])
async def test_a_worker_killed_from_outside_is_an_error_and_a_second_try_answers_the_same(
    trade: Trade,
) -> None:
    files = tuple(Content(f"m{at}.py", b"def f():\n    exec('1')\n" * 400) for at in range(20))
    undisturbed = await work(trade, files)
    with pytest.raises(ToolFailed):
        async with _killing_worker():
            await work(trade, files)
    assert await work(trade, files) == undisturbed


class _killing_worker:  # noqa: N801 - reads as a verb where it is used
    """Kill the first worker process that this process starts inside the block."""

    async def __aenter__(self) -> None:
        self._group = anyio.create_task_group()
        await self._group.__aenter__()
        self._group.start_soon(self._kill)

    async def __aexit__(self, *exc: object) -> None:
        self._group.cancel_scope.cancel()
        await self._group.__aexit__(None, None, None)

    async def _kill(self) -> None:
        with anyio.fail_after(10.0):
            while not (found := _workers()):
                await anyio.lowlevel.checkpoint()
        os.kill(found[0], signal.SIGKILL)


def _workers(owner: int | None = None) -> list[int]:
    owner = owner or os.getpid()
    children = Path(f"/proc/{owner}/task/{owner}/children").read_text().split()
    return [int(pid) for pid in children if b"worker.py" in Path(f"/proc/{pid}/cmdline").read_bytes()]


OWNER = """
import anyio
from examples.review.job import Content
from examples.review.workshop import work
anyio.run(work, "bandit", tuple(Content(f"m{at}.py", b"exec('1')\\n" * 20_000) for at in range(40)))
"""


async def test_a_worker_ends_with_its_owner() -> None:
    command = [sys.executable, "-c", OWNER]
    async with await anyio.open_process(command, cwd=Path(__file__).parents[2]) as owner:
        try:
            with anyio.fail_after(10.0):
                while not (found := [pid for pid in _workers(owner.pid) if _has_its_job(pid)]):
                    await anyio.lowlevel.checkpoint()
        finally:
            owner.kill()
    with anyio.fail_after(2.0):
        while _lives(found[0]):
            await anyio.lowlevel.checkpoint()


def _has_its_job(pid: int) -> bool:
    """A bandit worker holds each source as an anonymous file."""
    return any("memfd:source" in _target(each) for each in Path(f"/proc/{pid}/fd").iterdir())


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except FileNotFoundError:
        return ""


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_complexity_follows_the_counting_rule() -> None:
    source = """
async def f(a, b, *c):
    if a and b and c:                      # 1 + 2
        pass
    elif a or b:                           # 1 + 1
        pass
    for x in c:                            # 1
        while x:                           # 1
            x = 1 if b else 2              # 1
    async for y in c:                      # 1
        assert y                           # 1
    try:
        g = [z for z in c if z if not z]   # 3
    except (A, B):                         # 1
        h = lambda q: q or 1               # 1
    finally:
        pass
    match a:
        case 1:                            # 1
            pass
        case _ if b:                       # 1
            pass
        case _:
            pass
    def nested():
        if a:
            pass
    class Inner:
        def m(self):
            return a or b
"""
    tree = parse(source.encode())
    assert not isinstance(tree, Unparsable)
    assert {function.name: complexity(function) for function in functions(tree)} == {
        "f": 18,
        "nested": 2,
        "m": 2,
    }


@pytest.mark.parametrize(("branches", "severity"), [(9, None), (10, "low"), (20, "medium"), (40, "high")])
def test_complexity_is_reported_above_its_thresholds(branches: int, severity: str | None) -> None:
    done = measure(_file("def f(x):\n" + "    if x: pass\n" * branches))
    assert [finding.severity for finding in done.findings] == ([severity] if severity else [])


def test_sizes_are_counted() -> None:
    (figures,) = measure(_file("# c\n\nx = 1  # noqa: E1\ny = 2  # type: ignore[x]\n\ndef f(): pass\n")).figures
    assert (figures.lines, figures.code, figures.functions, figures.complexity) == (6, 3, 1, 1)
    assert (figures.suppressions, figures.parsed) == (2, True)


@pytest.mark.parametrize(("lines", "severity"), [(60, None), (61, "low"), (120, "low"), (121, "medium")])
def test_long_functions_are_gaps(lines: int, severity: str | None) -> None:
    done = find_gaps(_file("def _f():\n" + "    pass\n" * (lines - 1)))
    assert [finding.severity for finding in done.findings] == ([severity] if severity else [])


def test_public_functions_are_those_that_others_may_call() -> None:
    source = """
from typing import overload
def a():
    def nested(): pass
def _b(): pass
class C:
    def d(self): pass
    def __init__(self): pass
class _E:
    def f(self): pass
@overload
def g(): ...
async def h(): pass
"""
    assert [each.name for each in find_gaps(_file(source)).definitions] == ["a", "d", "h"]
    assert find_gaps(_file(source, "tests/test_m.py")).definitions == ()


def test_a_function_is_a_gap_when_no_test_mentions_its_name() -> None:
    done = find_gaps(_file("def seen(): pass\ndef unseen(): pass\n"))
    mentioned = words(b"from m import seen, unseen_too")
    assert [finding.text for finding in with_untested(done, mentioned).findings] == [
        "No test file mentions 'unseen' (judged by name alone)."
    ]
    assert with_untested(done, None).findings == ()


async def test_mentions_come_from_the_whole_commit_even_for_a_range(made: MadeRepository, reviewer: Reviewer) -> None:
    made.write("tests/test_m.py", "import m\nm.seen()\n")
    base = made.commit()
    made.commit(m="def seen(): pass\ndef unseen(): pass\n")
    report = await reviewer.review(made, f"{base}..HEAD")
    assert [(finding.line, finding.rule) for finding in report.findings] == [(2, "untested")]
