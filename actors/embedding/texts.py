"""What each embedder does with a text before it looks at it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Vectors = npt.NDArray[np.float32]

LONGEST: Final = 8_000
"""Characters of a text that count: more than a thousand words, and a bound for time and memory."""


def bounded(text: str) -> str:
    """Return the beginning of `text`; what cannot be encoded is a question mark, and nothing but blanks is nothing."""
    cut = text[:LONGEST]
    return cut.encode(errors="replace").decode() if cut.strip() else ""


def bounded_all(texts: Sequence[str]) -> list[str]:
    """Bound each."""
    return [bounded(text) for text in texts]


def unit(rows: "Vectors") -> "Vectors":
    """Return rows of length one; a row of zeros stays one."""
    import numpy as np

    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    return (rows / np.where(lengths > 0.0, lengths, 1.0)).astype(np.float32)
