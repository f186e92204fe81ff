"""``new``: a fleet that runs, to start from."""

from importlib import resources
from pathlib import Path

import click

from .exits import fail


@click.command()
@click.argument("name")
@click.option("--in", "folder", type=click.Path(path_type=Path), default=Path(), help="Where; default: here.")
def new(name: str, folder: Path) -> None:
    """Make a folder NAME with a small fleet that runs."""
    from callboard.errors import CallboardError
    from callboard.names import checked

    try:
        checked(name, "fleet")
    except CallboardError as error:
        fail(error)
    target = folder / name
    if target.exists():
        raise click.UsageError(f"{target} exists already; nothing was changed")
    target.mkdir(parents=True)
    templates = resources.files("callboard.supervisor") / "templates"
    module = name.replace("-", "_") + "_agents"
    for source, made in (("fleet.toml", "fleet.toml"), ("agents.py.txt", f"{module}.py")):
        text = (templates / source).read_text(encoding="utf-8")
        (target / made).write_text(text.replace("@NAME@", name).replace("@MODULE@", module), encoding="utf-8")
    click.echo(f"made {target}/fleet.toml and {target}/{module}.py")
    click.echo(f"now:  callboard up {target}/fleet.toml")
    click.echo(f'then: callboard ask greeter \'{{"type": "Greet", "name": "you"}}\' --state {target}/.callboard')
