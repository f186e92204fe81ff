"""A fleet run from Python, as tasks and as processes."""

import os
import signal
from contextlib import suppress
from pathlib import Path

import anyio
import pytest

from callboard import Actor, BadActor, Context, Fleet, HandlerFailed, Message, NoSuchActor, receive
from callboard.bus import BusUnavailable


class Ping(Message):
    """Where are you?"""

    fail: bool = False


class Pong(Message):
    """Here."""

    pid: int
    times: int


class Court(Actor):
    """Play."""

    @receive
    async def ping(self, message: Ping, ctx: Context) -> Pong:
        """Answer with the process, and how often it was asked."""
        if message.fail:
            raise ValueError("out")
        return Pong(pid=os.getpid(), times=await ctx.memory.incr("pings"))


def server_in(folder: Path) -> int:
    """Return the process id of the nats-server that keeps its files below `folder`."""
    commands: dict[Path, bytes] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended while we looked
            commands[entry] = (entry / "cmdline").read_bytes()
    [found] = [int(entry.name) for entry, command in commands.items() if f"-c\0{folder}".encode() in command]
    return found


async def test_a_fleet_of_tasks_answers_in_this_process() -> None:
    async with Fleet("shop", [Court]) as fleet:
        assert (await fleet.ask(Court.ping, Ping(), timeout=5.0)).pid == os.getpid()


async def test_memory_outlives_the_fleet_where_a_state_folder_is_given(tmp_path: Path) -> None:
    times = []
    for _ in range(2):
        async with Fleet("shop", [Court], state=tmp_path) as fleet:
            times.append((await fleet.ask(Court.ping, Ping(), timeout=5.0)).times)
    assert times == [1, 2]


async def test_an_error_leaves_the_block_as_it_is() -> None:
    with pytest.raises(HandlerFailed, match="ValueError: out"):
        async with Fleet("shop", [Court]) as fleet:
            await fleet.ask(Court.ping, Ping(fail=True), timeout=5.0)


async def test_an_unknown_actor_is_known_to_be_unknown_at_once() -> None:
    async with Fleet("shop", [Court]) as fleet:
        with anyio.fail_after(1.0), pytest.raises(NoSuchActor):
            await fleet.ask("nobody", Ping(), timeout=30.0)
        with anyio.fail_after(1.0), pytest.raises(NoSuchActor):
            await fleet.tell("nobody", Ping(), timeout=30.0)


async def test_a_fleet_of_tasks_starts_a_killed_server_again(tmp_path: Path) -> None:
    async with Fleet("shop", [Court], state=tmp_path) as fleet:
        exited = anyio.Event()
        fleet.records.listeners.append(lambda event: exited.set() if event.kind == "server-exited" else None)
        os.kill(server_in(tmp_path), signal.SIGKILL)
        with anyio.fail_after(10.0):
            await exited.wait()
            while True:
                with suppress(BusUnavailable, NoSuchActor):  # until both ends have found the new server
                    assert (await fleet.ask(Court.ping, Ping(), timeout=5.0)).pid == os.getpid()
                    break


def test_two_actors_of_one_name_are_refused() -> None:
    with pytest.raises(BadActor, match="'court'"):
        Fleet("shop", [Court, Court])


async def test_a_fleet_of_processes_refuses_what_another_process_cannot_import() -> None:
    class Local(Actor):
        """Nobody else can import this."""

    with pytest.raises(BadActor, match="top of a module"):
        async with Fleet("shop", [Local], isolation="process"):
            pass


async def test_a_fleet_of_processes_answers_from_another_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "far_agents.py").write_text(
        "import os\nfrom callboard import Actor, Context, Message, receive\n"
        "class Where(Message): ...\nclass There(Message):\n    pid: int\n"
        "class Far(Actor):\n    @receive\n    async def where(self, m: Where, ctx: Context) -> There:\n"
        "        return There(pid=os.getpid())\n",
        encoding="utf-8",
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    import far_agents  # type: ignore[import-not-found]  # written above

    async with Fleet("shop", [far_agents.Far], isolation="process") as fleet:
        there = await fleet.ask(far_agents.Far, far_agents.Where(), timeout=10.0)
    assert there.pid != os.getpid()
