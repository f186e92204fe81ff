"""``health``, ``inspect`` and ``autopsy``: why something is as it is, in words for who was woken at night."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .exits import plain, run
from .main import as_json, where

if TYPE_CHECKING:
    from ..autopsy import Autopsy
    from ..inspection import Inspected, TakenStep
    from ..messages import ActorHealth


@click.command()
@click.argument("actor")
@as_json
@where
def health(actor: str, fleet: str, state: Path | None, *, as_json: bool) -> None:
    """Show how ACTOR is, against which limits, and what happened to it."""
    import msgspec

    async def work() -> "ActorHealth":
        from ..client import Client
        from ..messages import ShowHealth
        from ..service import Supervisor

        async with Client.connect(fleet, state=state) as client:
            return await client.ask(Supervisor.health, ShowHealth(actor=actor), timeout=10.0)

    found = run(work)
    click.echo(msgspec.json.encode(found).decode() if as_json else plain("\n".join(_health_lines(found))))


def _health_lines(found: "ActorHealth") -> list[str]:
    row, limits = found.row, found.limits
    lines = [f"{row.actor} is {row.state}: cell {row.cell}, process {row.pid or 'none'}, up {row.up_for:.0f} s"]
    if row.in_hand:
        doing = f", {row.doing}" if row.doing else ""
        lines.append(f"  in hand   {', '.join(row.in_hand)} for {row.in_hand_for:.1f} s{doing}")
    lines.append(f"  messages  {row.depth} wait, {row.handled} handled, {row.failed} failed, {row.refused} refused")
    if found.signs is not None:
        lines.append(f"  process   beat {found.signs.beat_age:.1f} s ago, {found.signs.memory >> 20} MiB of memory")
    memory = f", {limits.memory_mib} MiB" if limits.memory_mib else ""
    lines.append(
        f"  limits    silent after {limits.silent_after:g} s, stalled after {limits.stalled_after:g} s{memory}"
    )
    lines.append(
        f"  budget    {found.crashes} of {found.most} deaths count now; one more than {found.most} and it is held"
    )
    lines.append(f"  permissions are enforced {found.permissions}")
    return [*lines, "  lately", *(f"    {_clock(e.at)}  {e.kind}: {e.text}" for e in found.events)]


@click.command()
@click.argument("cell")
@as_json
@where
def autopsy(cell: str, fleet: str, state: Path | None, *, as_json: bool) -> None:
    """Show how CELL died last, where it stood, and what it held."""
    import msgspec

    async def work() -> "Autopsy | None":
        from ..client import Client
        from ..messages import ShowAutopsy
        from ..service import Supervisor

        async with Client.connect(fleet, state=state) as client:
            return (await client.ask(Supervisor.autopsy, ShowAutopsy(cell=cell), timeout=10.0)).autopsy

    found = run(work)
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
    else:
        click.echo(plain("\n".join(_autopsy_lines(found))) if found else f"cell {cell} has not died since it is known")


def _autopsy_lines(found: "Autopsy") -> list[str]:
    lines = [
        f"cell {found.cell}, process {found.pid} (its {found.epoch}.), died at {_clock(found.at)}",
        f"  why    {found.why}",
        f"  held   {found.story()}",
    ]
    for item in found.items:
        what = f"{item.kind:<4} {item.type} {item.id} of {item.actor}, from {item.sender}"
        lines.append(f"    {item.status:<8} {what}: {item.body[:100]}")
    return [*lines, *(["  stood at"] if found.stack else []), *(f"    {line}" for line in found.stack)]


@click.command()
@click.argument("actor")
@as_json
@where
def inspect(actor: str, fleet: str, state: Path | None, *, as_json: bool) -> None:
    """Show what a living ACTOR has in hand.

    Its tasks, the steps they have taken, and what is to leave.
    """
    import msgspec

    async def work() -> "Inspected":
        from ..client import Client
        from ..inspection import Inspect
        from ..service import Supervisor

        async with Client.connect(fleet, state=state) as client:
            return await client.ask(Supervisor.inspect, Inspect(actor=actor), timeout=10.0)

    found = run(work)
    click.echo(msgspec.json.encode(found).decode() if as_json else plain("\n".join(_seen(found))))


def _seen(found: "Inspected") -> list[str]:
    row = found.row
    lines = [f"{row.actor} is {row.state}; {found.queued} tasks stored and not done; {found.leaving} messages to leave"]
    for task in found.held:
        key = f", key {task.key}" if task.key else ""
        doing = f" for {task.seconds:.1f} s{f', {task.doing}' if task.doing else ''}" if task.seconds else " waits"
        lines.append(f"  task {task.id} {task.kind}{key}, try {task.tries},{doing}")
        lines += [f"    {_step(step)}" for step in found.steps if step.task == task.id]
    return lines


def _step(step: "TakenStep") -> str:
    kind = "act" if step.act else "step"
    return f"{kind} {step.name}: {f'{step.bytes} bytes' if step.settled else 'begun, and not settled'}"


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at, tz=UTC).astimezone().strftime("%H:%M:%S")
