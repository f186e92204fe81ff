"""``up`` and ``down``, and ``bench``."""

import sys
from pathlib import Path

import click

from .exits import run
from .main import where

RELOADED_WITHIN = 3600.0
"""Seconds: each cell in turn may take its time to stop and to start."""


@click.command()
@click.argument("fleet_file", metavar="FLEET.toml", type=click.Path(path_type=Path))
@click.option("--state", type=click.Path(path_type=Path), help="Folder for the fleets' state. [env: CALLBOARD_STATE]")
@click.option("--for", "seconds", type=click.FloatRange(min=0), help="Stop by itself after so many seconds.")
@click.option(
    "--nats-server",
    "binary",
    type=click.Path(path_type=Path),
    help="Another nats-server than the installed one.",
)
def up(fleet_file: Path, state: Path | None, seconds: float | None, binary: Path | None) -> None:
    """Run a fleet until Ctrl-C, SIGTERM or 'callboard down'."""

    async def work() -> None:
        from ..up import run_up

        await run_up(fleet_file, state=state, seconds=seconds, binary=binary)

    run(work)


@click.command()
@click.option("--timeout", default=60.0, show_default=True, help="Seconds to wait until the daemon has ended.")
@where
def down(fleet: str, state: Path | None, timeout: float) -> None:
    """Drain and stop the running fleet."""

    async def work() -> None:
        from ..up import run_down

        await run_down(fleet, state=state, timeout=timeout)

    run(work)
    click.echo("stopped")


@click.command()
def bench() -> None:
    """Measure throughput and latency of this machine.

    And of the NATS here; from a checkout.
    """
    import runpy

    if not Path("benchmarks/__main__.py").exists():
        click.echo(
            "callboard: bench runs from a checkout: the peers it measures against are installed there",
            err=True,
        )
        sys.exit(2)
    sys.path.insert(0, str(Path.cwd()))
    runpy.run_module("benchmarks", run_name="__main__")


@click.command()
@where
def reload(fleet: str, state: Path | None) -> None:
    """Apply the changed fleet file, cell by cell; nothing is lost.

    It is refused if messages or tasks that wait would not fit.
    """

    async def work() -> str:
        from ..client import Client
        from ..messages import Reloaded
        from ..service import Supervisor

        async with Client.connect(fleet, state=state) as client:
            return (await client.command(Supervisor.reload, Reloaded(), timeout=RELOADED_WITHIN)).text

    click.echo(run(work))
