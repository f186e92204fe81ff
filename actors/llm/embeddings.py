"""An embedder behind any API of OpenAI's form: ``POST /embeddings``."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import anyio
import msgspec

from ..embedding.errors import EmbedderFailed
from ..embedding.texts import bounded_all, unit
from .door.opened import BadStatus, Opener
from .door.said import said

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_BATCH: Final = 64
_ANSWER_MOST: Final = 64 * 1024 * 1024


class _Row(msgspec.Struct, frozen=True):
    embedding: list[float]
    index: int


class _Answer(msgspec.Struct, frozen=True):
    data: list[_Row]


class EndpointEmbedder:
    """Asks an endpoint, and checks what comes back: how many, how wide, which text's, and that all are numbers."""

    local = False

    def __init__(
        self, url: str, model: str, *, dimensions: int, key: str = "", timeout: float = 10.0, shorten: bool = False
    ) -> None:
        """Ask `model` at `url` for vectors of `dimensions`; `timeout`: seconds for one call, all in all."""
        self._url, self._model, self._key, self._timeout = url.rstrip("/"), model, key, timeout
        self._shorten = shorten
        self.dimensions: Final = dimensions
        self._opener = Opener(self._url, key)

    @property
    def id(self) -> str:
        """The model, not the place: the same one behind another URL makes the same vectors."""
        return f"openai:{self._model}:{self.dimensions}"

    async def embed(self, texts: Sequence[str]) -> "npt.NDArray[np.float32]":
        """Return a row for each text; empty ones are not sent. Raises EmbedderFailed, at the timeout at the latest."""
        import numpy as np

        taken = bounded_all(texts)
        rows = np.zeros((len(taken), self.dimensions), np.float32)
        places = [at for at, text in enumerate(taken) if text]
        for start in range(0, len(places), _BATCH):
            batch = places[start : start + _BATCH]
            rows[batch] = await self._ask([taken[at] for at in batch])
        return rows

    async def aclose(self) -> None:
        """Close the connections; a later call opens new ones."""
        await self._opener.aclose()

    async def _ask(self, texts: list[str]) -> "npt.NDArray[np.float32]":
        wish: dict[str, Any] = {"dimensions": self.dimensions} if self._shorten else {}
        try:
            with anyio.fail_after(self._timeout):
                client = await self._opener.client()
                raw = await client.embeddings.with_raw_response.create(
                    input=texts, model=self._model, encoding_format="float", **wish
                )
                content = raw.content
        except TimeoutError:
            why = f"did not answer within {self._timeout:g} s"
        except BadStatus as refusal:
            why = f"answered {refusal.status}{self._words(refusal.body.decode(errors='replace'))}"
        except Exception as error:  # noqa: BLE001 - as in guarded.py
            why = f"could not be asked{self._words(str(error))}"
        else:
            return self._checked(content, len(texts))
        raise self._failed(why)  # out here it holds no other error as its context: those hold the key

    def _checked(self, content: bytes, asked: int) -> "npt.NDArray[np.float32]":
        import numpy as np

        if len(content) > _ANSWER_MOST:
            raise self._failed(f"answered with {len(content)} bytes")
        try:
            rows = sorted(msgspec.json.decode(content, type=_Answer).data, key=lambda row: row.index)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise self._failed(f"answered with nonsense: {error}") from error
        if [row.index for row in rows] != list(range(asked)):
            raise self._failed(f"answered {len(rows)} vectors to {asked} texts")
        return np.stack([self._direction(row.embedding) for row in rows])

    def _direction(self, vector: list[float]) -> "npt.NDArray[np.float32]":
        import numpy as np

        if len(vector) != self.dimensions:
            raise self._failed(f"answered vectors of {len(vector)} numbers, not {self.dimensions}")
        if not math.isfinite(length := math.hypot(*vector)) or not length:  # squares in numpy overflow, this does not
            raise self._failed("answered a vector without a direction")
        return unit((np.array(vector, np.float64) / length).astype(np.float32))

    def _words(self, words: str) -> str:
        found = said(words, key=self._key)
        return f": {found}" if found else ""

    def _failed(self, why: str) -> EmbedderFailed:
        return EmbedderFailed(f"the embedder {self._model} at {self._url} {why}", endpoint=self._url, model=self._model)
