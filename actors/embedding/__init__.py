"""Embedders: what turns text into vectors, behind the protocol that the store names.

The default works at once, in every installation, with no network. All are pure functions of one text: what stands
beside it in a batch changes nothing. Nothing heavy is imported before the first text is embedded.
"""

from .choose import EmbedderTable, choose_embedder
from .errors import BadEmbedder, EmbedderFailed
from .hashing import HashEmbedder
from .minilm import MiniLmEmbedder
from .static import StaticEmbedder

__all__ = [
    "BadEmbedder",
    "EmbedderFailed",
    "EmbedderTable",
    "HashEmbedder",
    "MiniLmEmbedder",
    "StaticEmbedder",
    "choose_embedder",
]
