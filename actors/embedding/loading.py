"""Loading a model once, off the event loop, whoever asks for it and however many at a time."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from anyio import to_thread

T = TypeVar("T")


class Loading(Generic[T]):
    """What `load` makes, at its first use; a load that failed is tried again by the next who comes."""

    def __init__(self, load: Callable[[], T]) -> None:
        self._load = load
        self._lock = threading.Lock()
        self._loaded: list[T] = []

    async def get(self) -> T:
        """Return it; raises what `load` raises."""
        return self._loaded[0] if self._loaded else await to_thread.run_sync(self._once)

    def _once(self) -> T:
        with self._lock:
            if not self._loaded:
                self._loaded.append(self._load())
            return self._loaded[0]
