"""Embedders that tests ask for: one that is right, and some that are away, slow, or lie."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import anyio
import numpy as np

from callboard.actors.embedding import EmbedderFailed, HashEmbedder

if TYPE_CHECKING:
    from callboard.store.episodes.embedder import Vectors

_HASHED: Final = HashEmbedder()


class Fake:
    """Gives the vectors of :class:`HashEmbedder`, changed by `lie`; counts what it was asked."""

    local = True

    def __init__(self, *, id: str = "fake-256", lie: "Callable[[Vectors], Vectors] | None" = None) -> None:  # noqa: A002 - the protocol's name
        self.id, self.dimensions, self.lie = id, 256, lie
        self.away = False
        self.asked: list[str] = []

    async def embed(self, texts: Sequence[str]) -> "Vectors":
        if self.away:
            raise EmbedderFailed("it is away")
        self.asked += texts
        made = await _HASHED.embed(texts)
        return made if self.lie is None else self.lie(made)


class Synonyms(Fake):
    """Knows that some words mean the same."""

    _MEAN: Final = {"cap": "limit", "ei": "egg", "schinken": "ham", "kaputt": "broken"}

    async def embed(self, texts: Sequence[str]) -> "Vectors":
        return await super().embed([" ".join(self._MEAN.get(word, word) for word in text.split()) for text in texts])


class Fussy(Fake):
    """Refuses a text, and all that are given with it."""

    async def embed(self, texts: Sequence[str]) -> "Vectors":
        if any("poison" in text for text in texts):
            raise EmbedderFailed("it does not like that")
        return await super().embed(texts)


class Gated(Fake):
    """Answers when the gate is opened, and says when it was asked."""

    def __init__(self, *, id: str = "fake-256") -> None:  # noqa: A002 - the same
        super().__init__(id=id)
        self.gate, self.came = anyio.Event(), anyio.Event()

    async def embed(self, texts: Sequence[str]) -> "Vectors":
        self.came.set()
        await self.gate.wait()
        return await super().embed(texts)


class Remote(Gated):
    """One that may be slow, and says so."""

    local = False


class Narrow:
    """Vectors of another width than the others give: eight numbers."""

    def __init__(self) -> None:
        self.id, self.dimensions, self.local = "narrow-8", 8, True

    async def embed(self, texts: Sequence[str]) -> "Vectors":
        wide = await _HASHED.embed(texts)
        rows = wide.reshape(len(texts), 8, 32).sum(axis=2) + np.float32(0.01)
        scaled: Vectors = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
        return scaled


def nan(made: "Vectors") -> "Vectors":
    return made * np.float32("nan")


def infinite(made: "Vectors") -> "Vectors":
    return made + np.float32("inf")


def zeros(made: "Vectors") -> "Vectors":
    return made * np.float32(0)


def longer(made: "Vectors") -> "Vectors":
    return made * np.float32(3e30)


def too_wide(made: "Vectors") -> "Vectors":
    return np.hstack([made, made]) / np.float32(np.sqrt(2))


def too_few(made: "Vectors") -> "Vectors":
    return made[:-1]


def too_many(made: "Vectors") -> "Vectors":
    return np.vstack([made, made])


def flat(made: "Vectors") -> "Vectors":
    row: Vectors = made[0]
    return row


LIES: Final = (nan, infinite, zeros, longer, too_wide, too_few, too_many, flat)
