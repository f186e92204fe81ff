"""The command itself: its groups and the options they share."""

from pathlib import Path
from typing import Any

import click

from .exits import Exit

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
_EPILOG = "Exit codes: " + ", ".join(f"{code.value} {code.name.lower().replace('_', ' ')}" for code in Exit)


class Ordered(click.Group):
    """Lists commands in the order of a working day, not of the alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click calls it so
        """Return the commands as they were added."""
        return list(self.commands)


@click.group(cls=Ordered, context_settings=CONTEXT, epilog=_EPILOG)
@click.version_option(package_name="callboard")
def main() -> None:
    """Run, watch and speak to a fleet of supervised actors."""


def where(command: Any) -> Any:
    """Add the options by which a command finds the running daemon."""
    command = click.option(
        "--state", type=click.Path(path_type=Path), help="Folder of the fleets' state. [env: CALLBOARD_STATE]"
    )(command)
    return click.option("--fleet", default="", help="Which fleet, where several run here.")(command)


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def _add_commands() -> None:
    from . import checking, cost, dead, hand, look, memory, model, new, outcome, person, prompts, run, story, talk

    for command in (
        run.up, run.down, run.reload, look.ps, look.events, story.health, story.inspect, story.autopsy, dead.dead,
        talk.tell, talk.ask, talk.publish, talk.enqueue, outcome.outcome, memory.memory, cost.cost, prompts.prompts,
        hand.restart, hand.hold, hand.revive, checking.check, look.doctor, new.new, person.person,
        model.model, run.bench,
    ):  # fmt: skip
        main.add_command(command)


_add_commands()
