"""From settings to an embedder: checked once, here, combinations included."""

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from ..models import require
from .errors import BadEmbedder
from .hashing import HashEmbedder
from .minilm import MODEL, MiniLmEmbedder, check_installed
from .static import StaticEmbedder
from .table import EmbedderTable, is_here

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
        (
            "url",
            _fault(table),
            "https://host/v1, or http:// for this machine or without a key; no login, no ?, no #",
        ),
        ("model", not table.model, "the model's name"),
        ("dimensions", not 1 <= table.dimensions <= WIDEST, f"1 to {WIDEST}"),
        ("timeout", not 0.0 < table.timeout <= 600.0, "seconds, up to 600"),
        ("key_env", bool(table.key_env and table.key_file), "either it or key_file"),
        ("key_env", bool(table.key_env) and not table.key_env.isidentifier(), "a variable's name, not the key"),
    ):
        if wrong:
            raise BadEmbedder(f"{name} of embedder = 'endpoint': legal is {legal}", key=name)


def _fault(table: EmbedderTable) -> bool:
    try:
        parts = urlsplit(table.url)
        host = parts.hostname
    except ValueError:
        return True
    plain_key = parts.scheme == "http" and not is_here(table.url) and bool(table.key_file or table.key_env)
    secret = "@" in parts.netloc or bool(parts.query or parts.fragment)  # errors say the URL
    return parts.scheme not in {"http", "https"} or not host or secret or plain_key
