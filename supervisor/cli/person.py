"""``person``: a key of one's own, by which orders are signed."""

import click

from .exits import fail


@click.command()
@click.argument("name")
def person(name: str) -> None:
    """Make a key for NAME, who may then give orders.

    It prints what the fleet file needs to know of it.
    """
    from callboard.errors import CallboardError

    from ..persons import key_file, make_key

    try:
        key = make_key()
    except CallboardError as error:
        fail(error)
    click.echo(f"made {key_file()}: it is yours alone. In the fleet file:\n", err=True)
    click.echo(f'[[person]]\nname = {_quoted(name)}\nkey = "{key.public}"')


def _quoted(text: str) -> str:
    import json

    return json.dumps(text, ensure_ascii=False)
