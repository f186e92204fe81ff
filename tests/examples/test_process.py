"""Running a process: it cannot keep the caller waiting, and gets nothing of ours but its input."""

import os
import sys
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from examples.review.errors import SaidTooMuch, TookTooLong, ToolMissing
from examples.review.process import Finished, run


async def _python(code: str, *, stdin: bytes = b"", seconds: float = 20.0, most: int = 1000) -> Finished:
    command = [sys.executable, "-I", "-c", code]
    return await run(command, environment={"A": "b"}, cwd="/", stdin=stdin, seconds=seconds, most=most)


async def test_input_output_complaints_and_code_are_carried() -> None:
    code = "import sys; sys.stdout.write(sys.stdin.read()[::-1]); sys.stderr.write('oh'); sys.exit(3)"
    assert await _python(code, stdin=b"abc") == Finished(3, b"cba", b"oh")


async def test_the_environment_is_all_of_what_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY", "1")
    done = await _python("import os; print(sorted(set(os.environ) - {'LC_CTYPE'}), os.getcwd())")
    assert done.stdout == b"['A'] /\n"


async def test_a_process_that_does_not_end_is_killed() -> None:
    with pytest.raises(TookTooLong):
        await _python("import time; time.sleep(600)", seconds=0.3)


async def test_a_process_that_says_too_much_is_killed() -> None:
    with pytest.raises(SaidTooMuch), anyio.fail_after(10.0):
        await _python("while True: print('x' * 1000)")


async def test_a_process_that_does_not_read_its_input_is_no_error() -> None:
    assert (await _python("import os; os.close(0)", stdin=b"x" * 1_000_000)).code == 0


async def test_endless_complaints_are_cut_and_do_not_block() -> None:
    done = await _python("import sys; sys.stderr.write('x' * 1_000_000)")
    assert (done.code, len(done.stderr)) == (0, 4096)


async def test_a_signal_is_a_negative_code() -> None:
    assert (await _python("import os, signal; os.kill(os.getpid(), signal.SIGTERM)")).code == -15


async def test_a_program_that_is_not_there_is_missing() -> None:
    with pytest.raises(ToolMissing):
        await run(["/nonexistent/x"], environment={}, cwd="/", stdin=b"", seconds=1.0, most=1)


async def test_cancelling_the_caller_kills_the_process(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    code = f"import os, time; open({str(note)!r}, 'x').write(f'{{os.getpid()}}.'); time.sleep(600)"
    with anyio.fail_after(20.0):
        async with anyio.create_task_group() as group:
            group.start_soon(_python, code)
            while not note.exists() or not note.read_text().endswith("."):
                await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text()[:-1]), 0)
