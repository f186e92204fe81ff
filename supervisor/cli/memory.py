"""``memory``: what agents know, for a person to see, search, correct and copy."""

from pathlib import Path
from typing import Any, Final

import click

from .asking import asked
from .exits import plain
from .main import as_json, where
from .memory_lines import line_of, mentions_of, numbers_of, places_of, story_of, value_line

WORK_WITHIN: Final = 620.0
"""Seconds; longer than the daemon has patience with a cell (600), as in asking.py."""


@click.group()
def memory() -> None:
    """Show, search, forget and copy what agents know."""


@memory.command("ls")
@click.argument("actor", default="")
@click.option("--at-hand", is_flag=True, help="Its working memory instead: keys and values.")
@click.option("--of", "namespace", default="", help="With --at-hand: only of this customer, session …")
@click.option("--prefix", default="", help="With --at-hand: keys that begin so.")
@click.option("--about", default="", help="Only what concerns whom or what.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 200))
@as_json
@where
def memory_ls(
    actor: str, at_hand: bool, namespace: str, prefix: str, about: str, limit: int, fleet: str, state: Path | None, *,
    as_json: bool,
) -> None:  # fmt: skip
    """List who knows how much; with ACTOR its newest episodes: + worked, - did not."""
    from ..memory.messages import Keys, ListKeys, ListMemory, MemoryPage

    if not actor:
        _print_stats("", fleet, state, as_json=as_json)
        return
    if at_hand:
        found = asked(ListKeys(actor=actor, of=namespace, prefix=prefix, limit=limit), Keys, fleet, state)
        _print(found.rows, [value_line(row) for row in found.rows], "nothing is at hand", as_json)
        return
    page = asked(ListMemory(actor=actor, about=about, limit=limit), MemoryPage, fleet, state)
    _print(page.rows, [line_of(row) for row in page.rows], f"{actor} remembers nothing", as_json)


@memory.command("show")
@click.argument("actor")
@click.argument("id")
@as_json
@where
def memory_show(actor: str, id: str, fleet: str, state: Path | None, *, as_json: bool) -> None:  # noqa: A002 - as it is shown
    """Show the episode ID of ACTOR whole: texts, trust, evidence, what became of it."""
    from ..memory.messages import MemoryShown, ShowMemory

    shown = asked(ShowMemory(actor=actor, id=id), MemoryShown, fleet, state)
    links = [
        f"  {link.kind:<14}{link.id}" + (f" ({link.likeness:.2f})" if link.likeness else "") for link in shown.links
    ]
    _print(shown, [*story_of(shown.found), *links], "", as_json)


@memory.command("search")
@click.argument("actor")
@click.argument("query")
@click.option("-k", "most", default=5, show_default=True, type=click.IntRange(1, 100))
@click.option(
    "--where", "labels", multiple=True, metavar="NAME=VALUE", help="about, source or a label; may be repeated."
)
@click.option("--min-trust", default=0, type=click.IntRange(0, 2), help="1: nothing from outside; 2: only the owner's.")
@as_json
@where
def memory_search(
    actor: str, query: str, most: int, labels: tuple[str, ...], min_trust: int, fleet: str, state: Path | None, *,
    as_json: bool,
) -> None:  # fmt: skip
    """Find what ACTOR knows that is like QUERY, as it would itself; what failed comes apart."""
    from ..memory.messages import MemoryFound, SearchMemory

    wanted = dict(_pair(label) for label in labels)
    message = SearchMemory(actor=actor, query=query, k=most, where=wanted, min_trust=min_trust)
    found = asked(message, MemoryFound, fleet, state).found
    lines = [f"{row.score:5.2f}  {line_of(row)}" for row in found.episodes]
    lines += ["warnings", *(f"{row.score:5.2f}  {line_of(row)}" for row in found.warnings)] if found.warnings else []
    _print(found, [*lines, f"compared by {found.by}"] if lines else [], f"{actor} knows nothing of it", as_json)


def _pair(label: str) -> tuple[str, str]:
    name, equals, value = label.partition("=")
    if not equals:
        raise click.BadParameter(f"{label!r} is not NAME=VALUE", param_hint="--where")
    return name, value


@memory.command("forget")
@click.argument("actor", default="")
@click.argument("id", default="")
@click.option("--about", default="", help="All that names somebody, letter by letter; of all actors without ACTOR.")
@click.option("--yes", is_flag=True, help="Do not ask first.")
@as_json
@where
def memory_forget(
    actor: str, id: str, about: str, fleet: str, state: Path | None, *, yes: bool, as_json: bool # noqa: A002 - as it is shown
) -> None:  # fmt: skip
    """Delete an episode of ACTOR, or all that is known of somebody; lists each place that was looked at."""
    from ..memory.messages import ForgetMemory, Forgot, Mentioned, WouldForget

    if bool(about) == bool(id) or (id and not actor):
        raise click.UsageError("give ACTOR and ID, or --about NAME, and with it ACTOR if only one is to forget")
    if about and not yes:
        named = asked(WouldForget(about=about, actor=actor), Mentioned, fleet, state)
        click.echo(plain("\n".join(mentions_of(named)) or "nobody's memory names it"))
        click.confirm(f"forget for good all that names {about!r}, and sweep where it may be left?", abort=True)
    message = ForgetMemory(actor=actor, id=id, about=about)
    found = asked(message, Forgot, fleet, state, timeout=WORK_WITHIN)
    _print(found, places_of(found), "nobody knows anything of it", as_json)


@memory.command("reindex")
@click.argument("actor", default="")
@where
def memory_reindex(actor: str, fleet: str, state: Path | None) -> None:
    """Make the vectors of ACTOR, or of all, by the embedder that is set now; recall goes on meanwhile."""
    from ..memory.messages import MemoryFiles, ReindexMemory

    found = asked(ReindexMemory(actor=actor), MemoryFiles, fleet, state)
    lines = [*(f"begun: {line}" for line in found.lines), *found.unheard]
    click.echo(plain("\n".join(lines)) or "nobody remembers anything yet")
    click.echo("see 'callboard memory stats' for how far it is")


@memory.command("backup")
@click.argument("actor")
@click.argument("folder", type=click.Path(path_type=Path))
@where
def memory_backup(actor: str, folder: Path, fleet: str, state: Path | None) -> None:
    """Copy what ACTOR knows into FOLDER while it goes on."""
    from ..memory.messages import BackUpMemory, MemoryFiles

    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise click.UsageError(f"{folder} cannot be a folder for copies: {error.strerror}") from error
    message = BackUpMemory(actor=actor, folder=str(folder.resolve()))
    click.echo(plain("\n".join(asked(message, MemoryFiles, fleet, state, timeout=WORK_WITHIN).lines)))


@memory.command("restore")
@click.argument("actor")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--yes", is_flag=True, help="Do not ask first.")
@where
def memory_restore(actor: str, folder: Path, fleet: str, state: Path | None, *, yes: bool) -> None:
    """Let ACTOR know what the copy in FOLDER knows, and nothing since; its tasks stay as they are."""
    from ..memory.messages import MemoryFiles, RestoreMemory

    if not yes:
        click.confirm(f"replace all that {actor} knows by the copy in {folder}?", abort=True)
    message = RestoreMemory(actor=actor, folder=str(folder.resolve()))
    click.echo(plain("\n".join(asked(message, MemoryFiles, fleet, state, timeout=WORK_WITHIN).lines)))


@memory.command("stats")
@click.argument("actor", default="")
@as_json
@where
def memory_stats(actor: str, fleet: str, state: Path | None, *, as_json: bool) -> None:
    """Count what ACTOR, or each, knows, and how much of it was of use."""
    _print_stats(actor, fleet, state, as_json=as_json)


def _print_stats(actor: str, fleet: str, state: Path | None, *, as_json: bool) -> None:
    from ..memory.messages import MemoryCounts, ShowStats

    found = asked(ShowStats(actor=actor), MemoryCounts, fleet, state)
    lines = [line for row in found.rows for line in numbers_of(row)]
    _print(found, [*lines, *found.unheard], "nobody lives here", as_json)


def _print(found: Any, lines: list[str], nothing: str, as_json: bool) -> None:
    import msgspec

    click.echo(msgspec.json.encode(found).decode() if as_json else plain("\n".join(lines)) or nothing)
