"""The better one: all-MiniLM-L6-v2, a small neural network on onnxruntime; some three milliseconds for a text.

It needs the extra ``minilm`` and the files that ``callboard model fetch minilm`` brings. Banking77 as in ``static``:
0.817, and 0.478 on LoCoMo.
"""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from anyio import to_thread

from callboard.errors import CallboardError

from ..models import model_named, require
from .errors import BadEmbedder, EmbedderFailed
from .loading import Loading
from .texts import bounded_all, unit

if TYPE_CHECKING:
    from .texts import Vectors

WIDTH: Final = 384
TOKENS_MOST: Final = 256
"""What the model was trained for; the rest of a longer text does not count."""
_MARKS: Final = frozenset({0, 100, 101, 102})
"""Padding, unknown, beginning and end: a text of nothing else says nothing."""
_BATCH: Final = 16
MODEL: Final = model_named("minilm")


class Network:
    """The model and its tokenizer. Does not change, so that many threads may use it."""

    def __init__(self, session: Any, tokenizer: Any) -> None:
        self._session, self._tokenizer = session, tokenizer
        self._names = [each.name for each in session.get_inputs()]

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the tokens of each text; none for a text that says nothing."""
        found: list[list[int]] = [self._tokenizer.encode(text).ids for text in texts]
        return [[] if _MARKS.issuperset(ids) else ids for ids in found]

    def embed(self, batch: Sequence[list[int]]) -> "Vectors":
        """Return the mean over the tokens of each text, of unit length."""
        import numpy as np

        longest = max(map(len, batch))
        mask = np.array([[1] * len(ids) + [0] * (longest - len(ids)) for ids in batch], np.int64)
        ids = np.array([[*ids, *[0] * (longest - len(ids))] for ids in batch], np.int64)
        feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        hidden = self._session.run(None, {name: feed[name] for name in self._names})[0]
        return unit((hidden * mask[:, :, None]).sum(axis=1) / mask.sum(axis=1, keepdims=True))


class MiniLmEmbedder:
    """One thread of the machine for each batch, and the event loop free meanwhile."""

    id = f"minilm-l6-v2-int8-{WIDTH}-1"
    dimensions = WIDTH
    local = True

    def __init__(self, root: Path | None = None) -> None:
        """Use the model in the folder of models `root`; by default that of this machine."""
        self._network = Loading(lambda: load_network(root))

    async def embed(self, texts: Sequence[str]) -> "Vectors":
        """Return a row for each text; raises EmbedderFailed."""
        network = await self._network.get()
        tokens = await to_thread.run_sync(network.tokens, bounded_all(texts))
        import numpy as np

        rows = np.zeros((len(tokens), WIDTH), np.float32)
        order = sorted((at for at, ids in enumerate(tokens) if ids), key=lambda at: len(tokens[at]))  # little padding
        for start in range(0, len(order), _BATCH):
            batch = order[start : start + _BATCH]
            rows[batch] = await to_thread.run_sync(network.embed, [tokens[at] for at in batch])
        return rows


def check_installed() -> None:
    """Raise BadEmbedder if what runs the model is not installed."""
    if importlib.util.find_spec("onnxruntime") is None:
        raise BadEmbedder("the embedder minilm needs onnxruntime: pip install 'callboard[minilm]'")


def load_network(root: Path | None) -> Network:
    """Load the model's files, which are checked by their hashes. Raises EmbedderFailed."""
    try:
        check_installed()
        folder = require(MODEL, root)
    except CallboardError as error:
        raise EmbedderFailed(error.text, **error.detail) from error
    import onnxruntime
    from tokenizers import Tokenizer

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(TOKENS_MOST)
    return Network(session, tokenizer)
