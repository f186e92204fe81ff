"""``prompts``: prompt files, checked before they cost anything."""

from pathlib import Path

import click

from .exits import Exit, plain


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False))
def prompts(files: tuple[Path, ...]) -> None:
    """Check whether prompt FILES can be read and cached.

    Their beginning, that is, by an endpoint, which costs less.
    """
    from callboard.actors.llm import BadPrompt, prefix_faults, read_prompt

    wrong = False
    for file in files:
        try:
            prompt = read_prompt(file)
        except BadPrompt as error:
            click.echo(plain(error.text), err=True)
            wrong = True
            continue
        inputs = ", ".join(f"{name} ({trust})" for name, trust in prompt.inputs.items()) or "no inputs"
        click.echo(plain(f"{file}: {prompt.name}, version {prompt.version}: {inputs}"))
        for fault in prefix_faults(prompt):
            click.echo(plain(f"  {fault}"))
    if wrong:
        raise SystemExit(Exit.USAGE)
