"""What turns text into vectors. The store knows no model: it is given one of these."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Vectors = npt.NDArray[np.float32]


class Embedder(Protocol):
    """Turns texts into vectors of one length."""

    @property
    def id(self) -> str:
        """Model, revision and width: vectors of two ids are never compared."""
        ...

    @property
    def dimensions(self) -> int:
        """How many numbers a vector has."""
        ...

    @property
    def local(self) -> bool:
        """Whether it works on this machine, within milliseconds; else it may be slow, away, or paid for."""
        ...

    async def embed(self, texts: Sequence[str]) -> "Vectors":
        """Return one row of unit length for each text; a text without any known word gives a row of zeros.

        Raises EmbedderFailed: it is away, or answered with nonsense.
        """
        ...
