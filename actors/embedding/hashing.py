"""The embedder for tests: words, hashed into a short row. It knows no meaning, and is the same everywhere."""

import re
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from .texts import bounded, unit

if TYPE_CHECKING:
    from .texts import Vectors

WIDTH: Final = 256
_WORD: Final = re.compile(r"\w+")
_SIGN: Final = 1 << 31


class HashEmbedder:
    """Texts that share words are alike."""

    id = f"hash-{WIDTH}-1"
    dimensions = WIDTH
    local = True

    async def embed(self, texts: Sequence[str]) -> "Vectors":
        """Return a row for each text, at once."""
        import numpy as np

        rows = np.zeros((len(texts), WIDTH), np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in _WORD.findall(bounded(text).lower()):
                hashed = zlib.crc32(word.encode())
                row[hashed % WIDTH] += 1.0 if hashed & _SIGN else -1.0
        return unit(rows)
