"""Embedders: what turns text into vectors, behind the protocol that the store names.

The default works at once, in every installation, with no network. All are pure functions of one text: what stands
beside it in a batch changes nothing. Each cell imports the settings; the embedders only when one is wanted, and what
is heavy only when the first text is embedded.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .errors import BadEmbedder, EmbedderFailed
from .table import EmbedderTable

if TYPE_CHECKING:
    from .choose import choose_embedder
    from .hashing import HashEmbedder
    from .minilm import MiniLmEmbedder
    from .static import StaticEmbedder

_HOME = {
    "choose_embedder": "choose", "HashEmbedder": "hashing", "MiniLmEmbedder": "minilm", "StaticEmbedder": "static",
}  # fmt: skip

__all__ = [
    "BadEmbedder",
    "EmbedderFailed",
    "EmbedderTable",
    "HashEmbedder",
    "MiniLmEmbedder",
    "StaticEmbedder",
    "choose_embedder",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)
