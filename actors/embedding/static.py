"""The default: one table of token vectors, and a mean. No network runs: some fifty microseconds for a text.

The table is WordLlama's (256 wide, MIT), as two files of a package that is installed with us; its code is not imported.
What was measured, as 1-NN on Banking77 with ten examples for each of 77 intents, mean of 24 draws from its training
part, and as hit@5 of cosine alone on LoCoMo's dialogues:

- mean of the rows 0.736 and 0.411; with the lower-cased text added at half its weight 0.742 and 0.435: adopted.
- weights that fall with a token's frequency (a / (a + rank) turned round, or logarithms of rank): at best nothing,
  down to -0.08. No stop words: -0.02. Without the first 1 to 5 principal components of the table: nothing. Rows of unit
  length: -0.18. The lengths of the rows were trained, and already are the weights.
"""

import hashlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from anyio import to_thread

from .errors import EmbedderFailed
from .loading import Loading
from .texts import bounded_all, unit

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from .texts import Vectors

WIDTH: Final = 256
PACKAGE: Final = "wordllama"
_WEIGHTS: Final = "weights/l2_supercat_256.safetensors"
_TOKENIZER: Final = "tokenizers/l2_supercat_tokenizer_config.json"
SHA256: Final = {
    _WEIGHTS: "64b47a2dc493cb8e85944076601189739852d7b64e0e1eedcb1937a251cd9fd5",
    _TOKENIZER: "93248f2a9ec36c7b35f700a033d5f36228aae48db61aee31007fa49062cdeb68",
}
_LOWER_WEIGHT: Final = 0.5
_FIRST_WORD: Final = 259
"""Tokens below are marks and single bytes: how a character is spelled that the table does not know."""
_BLANK: Final = 29_871
"""The token of a blank that belongs to no word."""
_INLINE: Final = 1_000
"""Characters in all that are embedded at once, within a millisecond; more of them in a thread."""


class Table:
    """The rows, and what finds the rows of a text. Does not change, so that many threads may use it."""

    def __init__(self, rows: "npt.NDArray[np.float16]", tokenizer: Any) -> None:
        self._rows, self._tokenizer = rows, tokenizer

    def embed(self, texts: Sequence[str]) -> "Vectors":
        """Return a row of unit length for each text."""
        lower = [text.lower() for text in texts]
        return unit(unit(self._means(texts)) + _LOWER_WEIGHT * unit(self._means(lower)))

    def _means(self, texts: Sequence[str]) -> "Vectors":
        import numpy as np

        means = np.zeros((len(texts), WIDTH), np.float32)
        for mean, text in zip(means, texts, strict=True):
            tokens: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
            known = [token for token in tokens if token >= _FIRST_WORD and token != _BLANK]
            if known:
                mean[:] = self._rows[known].mean(axis=0, dtype=np.float32)
        return means


class StaticEmbedder:
    """Needs nothing but the installed packages; loads in a fifth of a second at the first text."""

    id = f"wordllama-l2-supercat-{WIDTH}-1"
    dimensions = WIDTH
    local = True

    def __init__(self, folder: Path | None = None) -> None:
        """Read the table in `folder`; by default that of the installed package."""
        self._table = Loading(lambda: load_table(folder or _installed()))

    async def embed(self, texts: Sequence[str]) -> "Vectors":
        """Return a row for each text; raises EmbedderFailed if the table's files are not what they should be."""
        table, taken = await self._table.get(), bounded_all(texts)
        if sum(map(len, taken)) <= _INLINE:
            return table.embed(taken)
        return await to_thread.run_sync(table.embed, taken)


def load_table(folder: Path) -> Table:
    """Read both files, whole, and see that they are the right ones before anything looks into them."""
    weights, tokenizer = _verified(folder, _WEIGHTS), _verified(folder, _TOKENIZER)
    from tokenizers import Tokenizer

    made = Tokenizer.from_str(tokenizer.decode())
    made.no_padding()
    made.no_truncation()
    return Table(_rows(weights), made)


def _rows(weights: bytes) -> "npt.NDArray[np.float16]":
    """Return the one matrix of a safetensors file: a length in eight bytes, a header, then 16-bit numbers."""
    import numpy as np

    header = int.from_bytes(weights[:8], "little")
    return np.frombuffer(weights, np.float16, offset=8 + header).reshape(-1, WIDTH)


def _verified(folder: Path, name: str) -> bytes:
    path = folder / name
    try:
        data = path.read_bytes()
    except OSError as error:
        raise EmbedderFailed(f"the default embedder's {path} cannot be read: {error}", path=str(path)) from error
    if (found := hashlib.sha256(data).hexdigest()) != SHA256[name]:
        raise EmbedderFailed(
            f"{path} is not the file that the default embedder was made for; its SHA-256 is {found}", path=str(path)
        )
    return data


def _installed() -> Path:
    """Return the folder of the package, without importing it."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise EmbedderFailed(f"the package {PACKAGE} is not installed: 'pip install callboard' brings it")
    return Path(spec.submodule_search_locations[0])
