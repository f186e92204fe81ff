"""``tell``, ``ask``, ``publish`` and ``enqueue``: messages in, from a terminal."""

import math
from pathlib import Path
from typing import Any

import click

from .exits import run
from .main import as_json, where


class _Seconds(click.FloatRange):
    """A number of seconds; NaN is within every range for click."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number, or end with a usage error."""
        seconds = float(super().convert(value, param, ctx))
        if math.isnan(seconds):
            self.fail("nan is no number of seconds", param, ctx)
        return seconds


def _message(text: str) -> Any:
    """Return JSON text as a message; end with a usage error if it is none."""
    import msgspec

    from callboard.actors import Json

    try:
        plain = msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise click.UsageError(f"not JSON: {error}") from error
    if not isinstance(plain, dict) or not isinstance(plain.get("type"), str):
        raise click.UsageError(
            'a message is a JSON object with a "type", such as \'{"type": "Question", "text": "Hi"}\''
        )
    return Json(text.encode(), plain["type"])


@click.command()
@click.argument("actor")
@click.argument("message", metavar="JSON")
@where
def tell(actor: str, message: str, fleet: str, state: Path | None) -> None:
    """Send ACTOR a message and do not wait for a reply."""
    parsed = _message(message)

    async def work() -> None:
        from ..client import Client

        async with Client.connect(fleet, state=state) as client:
            await client.tell(actor, parsed)
            await client.flush()

    run(work)


@click.command()
@click.argument("actor")
@click.argument("message", metavar="JSON")
@click.option(
    "--timeout",
    default=30.0,
    show_default=True,
    type=_Seconds(min=0.001, max=86_400.0),
    help="Seconds to wait.",
)
@as_json
@where
def ask(actor: str, message: str, fleet: str, state: Path | None, *, timeout: float, as_json: bool) -> None:
    """Send ACTOR a question and print its reply.

    While it takes long, standard error says where the question is.
    """
    import msgspec

    parsed = _message(message)

    async def work() -> Any:
        from ..client import Client

        async with Client.connect(fleet, state=state) as client:
            return await client.ask_aloud(actor, parsed, timeout=timeout, say=lambda line: click.echo(line, err=True))

    reply = run(work)
    text = msgspec.json.encode(reply)
    click.echo(text.decode() if as_json else msgspec.json.format(text).decode())


@click.command()
@click.argument("topic")
@click.argument("message", metavar="JSON")
@where
def publish(topic: str, message: str, fleet: str, state: Path | None) -> None:
    """Publish an event on TOPIC."""
    parsed = _message(message)

    async def work() -> None:
        from ..client import Client

        async with Client.connect(fleet, state=state) as client:
            await client.publish(topic, parsed)
            await client.flush()

    run(work)


@click.command()
@click.argument("actor")
@click.argument("message", metavar="JSON")
@click.option("--key", default="", help="Tasks of one key are done one after the other, in order.")
@click.option("--id", "task", default="", help="Of your own making: the same again is no second task.")
@click.option("--delay", default=0.0, type=_Seconds(min=0.0), help="Seconds before which it is not begun.")
@click.option("--deadline", default=0.0, type=_Seconds(min=0.0), help="Seconds after which nobody wants it any more.")
@click.option(
    "--priority", default="normal", show_default=True, type=click.Choice(["high", "normal", "low"]), help="Its lane."
)
@where
def enqueue(actor: str, message: str, fleet: str, state: Path | None, **options: Any) -> None:
    """Store a task for ACTOR and print its id, once it is on disk."""
    parsed = _message(message)

    async def work() -> str:
        from ..client import Client

        async with Client.connect(fleet, state=state) as client:
            return await client.enqueue(actor, parsed, id=options.pop("task"), **options)

    click.echo(run(work))
