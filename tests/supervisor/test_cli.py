"""The command line without a daemon: usage, exit codes, scaffolding."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from callboard import Held
from callboard.supervisor.cli.exits import Exit, exit_code, run


def callboard(*words: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "callboard.supervisor.cli", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=cwd, check=False)


def test_no_daemon_is_exit_code_3_and_says_how_to_start_one(tmp_path: Path) -> None:
    done = callboard("ps", "--state", str(tmp_path), cwd=tmp_path)
    assert done.returncode == Exit.NO_DAEMON
    assert "callboard up FLEET.toml" in done.stderr


@pytest.mark.parametrize("name", ["Shop", "a b", "a.b", "*", ">", "a\nb", "../x", "", "a" * 300])
def test_new_refuses_a_bad_name_with_exit_code_2(tmp_path: Path, name: str) -> None:
    assert callboard("new", name, cwd=tmp_path).returncode == Exit.USAGE
    assert list(tmp_path.iterdir()) == []


def test_new_makes_a_fleet_that_passes_check(tmp_path: Path) -> None:
    assert callboard("new", "hello", cwd=tmp_path).returncode == Exit.DONE
    checked = callboard("check", "hello/fleet.toml", "--json", cwd=tmp_path)
    assert [row["actor"] for row in json.loads(checked.stdout)["actors"]] == ["greeter", "counter"]
    assert callboard("new", "hello", cwd=tmp_path).returncode == Exit.USAGE, "and never overwrites"


def test_check_says_what_is_wrong_with_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "fleet.toml").write_text('[fleet]\nname = "x"\n[[actor]]\nuse = "none:Here"\n', encoding="utf-8")
    done = callboard("check", "fleet.toml", cwd=tmp_path)
    assert done.returncode == Exit.USAGE
    assert "fleet.toml:4: actor[0].use:" in done.stderr


@pytest.mark.parametrize("message", ["", "{", "[]", "5", '{"text": "no type"}', '{"type": 5}', "[" * 100_000])
def test_what_is_no_message_is_a_usage_error(tmp_path: Path, message: str) -> None:
    done = callboard("ask", "desk", message, cwd=tmp_path)
    assert done.returncode == Exit.USAGE
    assert "Traceback" not in done.stderr


def test_doctor_names_a_missing_server(tmp_path: Path) -> None:
    done = callboard("doctor", "--json", "--nats-server", str(tmp_path / "none"), cwd=tmp_path)
    findings = {finding["what"]: finding["ok"] for finding in json.loads(done.stdout)}
    assert findings["nats-server"] is False
    assert findings["pidfd"] is True
    assert done.returncode == Exit.USAGE


def test_a_missing_server_is_named_by_up(tmp_path: Path) -> None:
    callboard("new", "hello", cwd=tmp_path)
    done = callboard("up", "hello/fleet.toml", "--nats-server", str(tmp_path / "none"), cwd=tmp_path)
    assert done.returncode != 0
    assert "none" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_outside_nats_that_is_not_there_is_exit_code_3(tmp_path: Path) -> None:
    callboard("new", "hello", cwd=tmp_path)
    file = tmp_path / "hello" / "fleet.toml"
    file.write_text('[bus]\nurl = "nats://127.0.0.1:9"\n' + file.read_text(encoding="utf-8"), encoding="utf-8")
    done = callboard("up", str(file), cwd=tmp_path)
    assert done.returncode == Exit.NO_DAEMON
    assert "127.0.0.1:9" in done.stderr


def test_a_typed_error_does_not_hide_a_fault_beside_it(capsys: pytest.CaptureFixture[str]) -> None:
    async def work() -> None:
        raise ExceptionGroup("both", [Held("clerk is held"), ExceptionGroup("more", [KeyError("a fault")])])

    with pytest.raises(ExceptionGroup):
        run(work)
    assert capsys.readouterr().err == ""


def test_typed_errors_in_a_group_are_an_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    async def work() -> None:
        raise ExceptionGroup("one", [Held("clerk is held")])

    with pytest.raises(SystemExit) as ended:
        run(work)
    assert ended.value.code == Exit.REFUSED
    assert capsys.readouterr().err == "callboard: held: clerk is held\n"


def test_each_error_has_its_documented_exit_code() -> None:
    table = {"held": 4, "permission-denied": 4, "deadline-exceeded": 5, "handler-failed": 6, "message-refused": 6,
             "no-such-daemon": 3, "bad-fleet": 2, "mailbox-full": 4, "not-up": 4}  # fmt: skip
    assert {code: int(exit_code(code)) for code in table} == table
