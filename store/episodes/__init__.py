"""Remember what happened, why, what was done and whether it worked; find it again by words and by likeness."""

from .embedder import Embedder

__all__ = ["Embedder"]
