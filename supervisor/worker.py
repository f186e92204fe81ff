"""What runs inside a cell's process: load the actors, join the bus, serve until told to stop.

It ends by itself in four cases: SIGTERM (drain, exit 0), the daemon's pipe at its end (finish what is in hand for a
second, exit), the bus connection gone for good (exit 75 at once: a deaf cell is no use), or its actors given up where
its plan says to escalate (exit 70). A thread makes sure that a blocked event loop cannot outlive the daemon by more
than two seconds.
"""

import os
import signal
import sys
import threading
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

import anyio
import anyio.from_thread
import anyio.lowlevel
import msgspec

from callboard.actors import ActorSpec, FlightRecorder, Host, Letter, Speaker
from callboard.background import background
from callboard.bus import (
    BusClosed,
    BusUnavailable,
    Connection,
    DeadlineExceeded,
    Endpoint,
    Exchange,
    NoSuchActor,
    connect,
)
from callboard.clock import SystemClock
from callboard.errors import CallboardError

from .cell import Cell
from .config import look_beside, spec_from
from .messages import CellReady, CellUp, Kept, Recorded
from .process import BUS_LOST, ESCALATED, CellOrder
from .reports import Reports
from .reserved import keeper_of
from .service import CellKeeper, Supervisor
from .stack_dump import allow_dump
from .toml_lines import Fault
from .upward import ToDaemon

ORPHAN_DRAIN: Final = 1.0
ORPHAN_END: Final = 2.0
HANDOVER_WITHIN: Final = 10.0
_letters: Final = msgspec.msgpack.Decoder(list[Letter])


def main() -> None:
    """Run one cell as its order on standard input says."""
    order = msgspec.json.decode(_first_line(), type=CellOrder)
    dump = allow_dump(Path(order.dump))
    daemon = os.getppid()
    code = _exit_code(order)
    dump.flush()
    if threading.active_count() > 1:  # one waits at the pipe for ever, and a handler may have left others
        with suppress(OSError):  # a full disk must not change how we end
            sys.stdout.flush()
            sys.stderr.flush()
        if os.getppid() != daemon:
            os.killpg(0, signal.SIGKILL)  # what this process has forked: nobody is left to end that
        os._exit(code)
    else:
        sys.exit(code)


def _exit_code(order: CellOrder) -> int:
    try:
        return anyio.run(_run, order, backend_options={"use_uvloop": _has_uvloop()})
    except CallboardError as error:
        print(f"cell {order.cell}: {error}", file=sys.stderr)  # noqa: T201 - its log file
        return BUS_LOST if isinstance(error, BusClosed | BusUnavailable) else 1
    except Fault as fault:
        print(f"cell {order.cell}: {fault.text}", file=sys.stderr)  # noqa: T201 - its log file
        return 1


def _first_line() -> bytes:
    line = bytearray()
    while not line.endswith(b"\n"):
        part = os.read(0, 65536)
        if not part:
            sys.exit("callboard.supervisor.worker is started by the daemon, with its order on standard input")
        line += part
    return bytes(line)


def _has_uvloop() -> bool:
    from importlib.util import find_spec

    return find_spec("uvloop") is not None


async def _run(order: CellOrder) -> int:
    look_beside(Path(order.home))
    specs = [spec_from(table) for table in order.actors]
    clock, flight = SystemClock(), FlightRecorder(Path(order.flight), epoch=order.epoch)
    async with (
        connect(order.access.options(f"{order.fleet}/{order.cell}")) as bus,
        Endpoint(
            bus,
            fleet=order.fleet,
            cell=order.cell,
            clock=clock,
            epoch=order.epoch,
            fences=order.fences,
            supervised=True,
            exchange=Exchange() if order.local else None,
        ) as endpoint,  # fmt: skip
        background() as tasks,
    ):
        voice = Speaker(endpoint)
        reports = Reports(partial(_deliver, voice), clock=clock)
        tasks.start_soon(reports.run)
        bus.on_gap(partial(_report_gap, bus, reports, order))
        upward = ToDaemon(voice, order.cell, order.epoch, tasks)
        cell = Cell(
            endpoint, state=Path(order.state), epoch=order.epoch, homes=order.homes, clock=clock, report=reports.put,
            flight=flight, upward=upward, memory=order.memory, llm=order.llm, home=Path(order.home),
        )  # fmt: skip
        async with cell.running() as running:
            code = await _serve(running, specs, order, upward, bus)
    return code


def _report_gap(bus: Connection, reports: Reports, order: CellOrder) -> None:
    text = f"its connection to the bus is back after {bus.away:.1f} s"
    reports.put("bus-back", order.cell, text, {"seconds": round(bus.away, 3), "epoch": order.epoch})


async def _deliver(voice: Speaker, event: Recorded) -> None:
    try:
        await voice.tell(Supervisor, event)
    except CallboardError as error:
        print(f"not recorded ({error}): {event.kind} {event.subject} {event.text}", file=sys.stderr)  # noqa: T201 - its log file


async def _serve(cell: Cell, specs: list[ActorSpec], order: CellOrder, upward: ToDaemon, bus: Connection) -> int:
    ending = _Ending()
    async with background() as tasks:
        tasks.start_soon(ending.watch_signals)
        tasks.start_soon(ending.watch_bus, bus)
        tasks.start_soon(ending.watch_given_up, upward)
        ending.watch_daemon()
        await cell.add(ActorSpec(actor=CellKeeper, name=keeper_of(order.cell), cell=order.cell, options=cell))
        hosts = await cell.open(specs, formation=order.formation, handover=True)
        for host in hosts:
            host.confinement.put(order.quarantined.get(host.name, {}))
        for actor in order.held:
            cell.hold(actor, why="held by hand, before this process")
        cell.begin(durable=order.durable)
        await bus.flush()
        await _join(hosts, order, upward.voice, bus)
        tasks.start_soon(upward.say_settled, cell.node.settled)
        await ending.event.wait()
        upward.alone = ending.orphaned
        if ending.code == 0:
            with anyio.move_on_after(ending.drain):
                await cell.drain()
    return ending.code


async def _join(hosts: list[Host], order: CellOrder, voice: Speaker, bus: Connection) -> None:
    """Take over each actor's address, and say that the cell serves; a bus that was away meanwhile is no crash."""
    try:
        for host in hosts:
            await _take_over(host, order, voice)
        await voice.ask(Supervisor.cell_ready, CellReady(cell=order.cell, epoch=order.epoch), timeout=HANDOVER_WITHIN)
    except (DeadlineExceeded, NoSuchActor) as error:
        await bus.flush(timeout=1.0)
        if bus.statistics().reconnects:
            raise BusUnavailable(f"the bus was away while cell {order.cell} took over: {error.text}") from error
        raise


async def _take_over(host: Host, order: CellOrder, voice: Speaker) -> None:
    """Fetch what the understudy kept for an actor, page by page, before its mailbox opens."""
    kept: list[Kept] = []
    while not kept or kept[-1].more:
        request = CellUp(cell=order.cell, epoch=order.epoch, actor=host.name, begin=not kept)
        kept.append(await voice.ask(Supervisor.cell_up, request, timeout=HANDOVER_WITHIN))
    host.hand_over([letter for page in kept for letter in _letters.decode(page.letters)])


class _Ending:
    """Why and how this process ends."""

    def __init__(self) -> None:
        self.event = anyio.Event()
        self.code = 0
        self.drain = float("inf")
        self.orphaned = False

    async def watch_signals(self) -> None:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async for _ in signals:
                self.event.set()

    async def watch_bus(self, bus: Connection) -> None:
        why = await bus.wait_closed()
        print(f"the bus is gone: {why}", file=sys.stderr)  # noqa: T201 - its log file
        self.code = BUS_LOST
        self.event.set()

    async def watch_given_up(self, upward: ToDaemon) -> None:
        await upward.given_up.wait()
        self.code = ESCALATED
        self.event.set()

    def watch_daemon(self) -> None:
        token = anyio.lowlevel.current_token()
        threading.Thread(target=self._wait_for_end_of_pipe, args=(token,), daemon=True).start()

    def _wait_for_end_of_pipe(self, token: anyio.lowlevel.EventLoopToken) -> None:
        while os.read(0, 4096):
            pass
        try:
            anyio.from_thread.run_sync(self._orphaned, token=token)
        except RuntimeError:
            return  # the loop has ended before us
        time.sleep(ORPHAN_END)
        os.killpg(0, signal.SIGKILL)  # and what it has forked: nobody is left to end that

    def _orphaned(self) -> None:
        self.drain, self.orphaned = ORPHAN_DRAIN, True
        self.event.set()


if __name__ == "__main__":
    main()
