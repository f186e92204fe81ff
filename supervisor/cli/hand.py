"""``restart``, ``hold`` and ``revive``: a person's hand on the tree."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .exits import run
from .main import where

if TYPE_CHECKING:
    from ..messages import Verb


def _order(verb: "Verb", actor: str, fleet: str, state: Path | None) -> None:
    async def work() -> str:
        from ..client import Client
        from ..messages import Order
        from ..service import Supervisor

        async with Client.connect(fleet, state=state) as client:
            return (await client.command(Supervisor.order, Order(verb=verb, actor=actor), timeout=10.0)).text

    click.echo(run(work))


@click.command()
@click.argument("actor")
@where
def restart(actor: str, fleet: str, state: Path | None) -> None:
    """Stop ACTOR and start it again at once."""
    _order("restart", actor, fleet, state)


@click.command()
@click.argument("actor")
@where
def hold(actor: str, fleet: str, state: Path | None) -> None:
    """Let ACTOR take no more messages until it is revived.

    What it has in hand is stopped.
    """
    _order("hold", actor, fleet, state)


@click.command()
@click.argument("actor")
@where
def revive(actor: str, fleet: str, state: Path | None) -> None:
    """Let a held ACTOR go on, with a fresh restart budget."""
    _order("revive", actor, fleet, state)
