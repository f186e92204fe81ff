"""``dead``: what was taken away, why, and what a person does about it."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .asking import asked
from .dates import when
from .exits import Exit, plain
from .main import as_json, where

if TYPE_CHECKING:
    from ..dead import DeadRow


@click.group()
def dead() -> None:
    """Show, retry and drop messages in quarantine."""


@dead.command("ls")
@as_json
@where
def dead_ls(fleet: str, state: Path | None, *, as_json: bool) -> None:
    """List the messages that were taken away, and the contents that are refused; the newest first."""
    import msgspec

    from ..dead import Dead, ListDead

    found = asked(ListDead(), Dead, fleet, state)
    if as_json:
        click.echo(msgspec.json.encode(found.rows).decode())
        return
    for row in found.rows:
        name = row.id[:12] if row.what == "content" else row.id
        click.echo(plain(f"{name}  {row.kind} of {row.actor}, from {row.sender}: {row.reason}: {row.text[:120]}"))
    if not found.rows:
        click.echo("nothing is in quarantine")
    if (more := found.letters - sum(row.what == "task" for row in found.rows)) > 0:
        click.echo(f"and {more} older ones")
    if found.dropped:
        click.echo(f"for {found.dropped} older ones there was no room: they are gone")


@dead.command("show")
@click.argument("which", metavar="ID")
@as_json
@where
def dead_show(which: str, fleet: str, state: Path | None, *, as_json: bool) -> None:
    """Show what the beginning or the end of ID names, whole: body, reason, stack, history."""
    import msgspec

    from ..dead import Dead, ShowDead

    found = asked(ShowDead(which=which), Dead, fleet, state)
    if not found.rows:
        click.echo(f"callboard: nothing in quarantine is called {which!r}: see 'callboard dead ls'", err=True)
        sys.exit(Exit.USAGE)
    if as_json:
        click.echo(msgspec.json.encode(found.rows).decode())
        return
    for row in found.rows:
        click.echo(plain("\n".join(_story(row))))


def _story(row: "DeadRow") -> list[str]:
    until = f", refused until {when(row.until)}" if row.until else ""
    return [
        f"{row.kind} {row.id} of {row.actor}, from {row.sender}: {row.reason}{until}",
        f"  when   {when(row.at)}, after {row.tries} {'try' if row.tries == 1 else 'tries'}",
        f"  why    {row.text}{f' (at {row.path})' if row.path else ''}",
        *([f"  chain  {row.correlation}, caused by {row.causation or 'nothing'}"] if row.correlation else []),
        f"  body   {row.body}",
        *(f"  then   {line}" for line in row.history),
        *(f"  stack  {line}" for line in row.stack),
    ]


@dead.command("retry")
@click.argument("which", metavar="ID…", nargs=-1, required=True)
@where
def dead_retry(which: tuple[str, ...], fleet: str, state: Path | None) -> None:
    """Store messages again where they came from, with all their tries before them."""
    from ..dead import RetryDead
    from ..messages import Done

    click.echo(asked(RetryDead(which=list(which)), Done, fleet, state).text)


@dead.command("drop")
@click.argument("which", metavar="ID…", nargs=-1, required=True)
@where
def dead_drop(which: tuple[str, ...], fleet: str, state: Path | None) -> None:
    """Forget messages for good; let a content that is refused through again."""
    from ..dead import DropDead
    from ..messages import Done

    click.echo(asked(DropDead(which=list(which)), Done, fleet, state).text)
