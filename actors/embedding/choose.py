"""From settings to an embedder: checked once, here, combinations included."""

from typing import TYPE_CHECKING, Final

from ..llm.url import LEGAL_URL, is_legal
from ..models import require
from .errors import BadEmbedder
from .hashing import HashEmbedder
from .minilm import MODEL, MiniLmEmbedder, check_installed
from .static import StaticEmbedder
from .table import EmbedderTable

if TYPE_CHECKING:
    from callboard.store.episodes import Embedder

KINDS: Final = ("static", "minilm", "hash", "endpoint")
WIDEST: Final = 8_192


_DEFAULT: Final = EmbedderTable()


def choose_embedder(table: EmbedderTable = _DEFAULT) -> "Embedder":
    """Return the embedder that `table` names. Raises BadEmbedder, ModelAbsent, BadModelKey."""
    if table.embedder not in KINDS:
        raise BadEmbedder(f"embedder = {table.embedder!r}: legal are {', '.join(KINDS)}", key="embedder")
    if table.embedder == "endpoint":
        return _endpoint(table)
    _check_alone(table)
    if table.embedder == "minilm":
        check_installed()
        require(MODEL)
        return MiniLmEmbedder()
    return StaticEmbedder() if table.embedder == "static" else HashEmbedder()


def _check_alone(table: EmbedderTable) -> None:
    for name in table.__struct_fields__:
        if name != "embedder" and getattr(table, name) != getattr(_DEFAULT, name):
            raise BadEmbedder(f"{name} is for embedder = 'endpoint', not {table.embedder!r}", key=name)


def _endpoint(table: EmbedderTable) -> "Embedder":
    _check_endpoint(table)
    from ..llm import EndpointEmbedder, read_key

    key = read_key(file=table.key_file, variable=table.key_env)
    return EndpointEmbedder(
        table.url, table.model, dimensions=table.dimensions, key=key, timeout=table.timeout, shorten=table.shorten
    )


def _check_endpoint(table: EmbedderTable) -> None:
    """Refuse what cannot work, and a key that would cross a network in plain text."""
    for name, wrong, legal in (
        ("url", not is_legal(table.url, keyed=bool(table.key_file or table.key_env)), LEGAL_URL),
        ("model", not table.model, "the model's name"),
        ("dimensions", not 1 <= table.dimensions <= WIDEST, f"1 to {WIDEST}"),
        ("timeout", not 0.0 < table.timeout <= 600.0, "seconds, up to 600"),
        ("key_env", bool(table.key_env and table.key_file), "either it or key_file"),
        ("key_env", bool(table.key_env) and not table.key_env.isidentifier(), "a variable's name, not the key"),
    ):
        if wrong:
            raise BadEmbedder(f"{name} of embedder = 'endpoint': legal is {legal}", key=name)
