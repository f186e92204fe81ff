"""``outcome``: how something turned out, so that the fleet learns from it."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .exits import run
from .main import where

if TYPE_CHECKING:
    from callboard.store import Touched


@click.command()
@click.argument("message", metavar="ID")
@click.argument("verdict", type=click.Choice(["good", "bad"]))
@click.option("--why", default="", help="Kept with what it concerns, and shown in later recalls.")
@where
def outcome(message: str, verdict: str, why: str, fleet: str, state: Path | None) -> None:
    """Say how the message ID turned out.

    So whether what was remembered in it, recalled for it or answered by a model was of use. ID is of a message, a task
    or an event, or of what rests on it as evidence.
    """

    async def work() -> "Touched":
        from ..client import Client

        async with Client.connect(fleet, state=state) as client:
            return await client.outcome(message, verdict == "good", why)

    found = run(work)
    if found.remembered or found.recalled:
        click.echo(f"{verdict}: {found.remembered} memories were made of it, {found.recalled} were recalled for it")
    else:
        click.echo("nobody remembers anything of it yet: what is remembered later will know")
