"""A thread beside the event loop that sees when it is blocked: it can say where, but mend nothing.

For a fleet in one process (``isolation="task"``), where nobody could kill and start again without taking the program
along. What blocks the loop also keeps the report from being recorded, so the thread logs it at once, and the loop
records it when it turns again.
"""

import logging
import sys
import threading
import time
import traceback
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

import anyio

from callboard.actors import place_of
from callboard.background import background

from .cell import Report

EVERY: Final = 0.25
_log: Final = logging.getLogger("callboard.supervisor")


class LoopWatch:
    """Watches the loop of the thread in which it was made. Times in seconds."""

    def __init__(self, report: Report, *, subject: str, silent_after: float) -> None:
        self._report, self._subject, self._silent_after = report, subject, silent_after
        self._loop_thread = threading.get_ident()
        self._beaten = time.monotonic()
        self._stack: list[str] = []
        self._ended = threading.Event()

    async def beat(self) -> None:
        """Beat on the loop until cancelled, and record what the thread saw while there was no beat."""
        while True:
            now = time.monotonic()
            age, self._beaten = now - self._beaten, now
            if self._stack:
                stack, self._stack = self._stack, []
                text = f"its loop did not turn for {age:.1f} s: blocked at {place_of(stack)}"
                self._report("loop-blocked", self._subject, text, {"stack": "\n".join(stack), "place": place_of(stack)})
            await anyio.sleep(EVERY)

    def watch(self) -> None:
        """Look from beside until :meth:`end`; the body of the thread."""
        while not self._ended.wait(EVERY):
            if not self._stack and time.monotonic() - self._beaten > self._silent_after:
                self._stack = self._look()
                _log.warning("%s: the event loop is blocked at %s", self._subject, place_of(self._stack))

    def end(self) -> None:
        """Let the thread end."""
        self._ended.set()

    def _look(self) -> list[str]:
        frame = sys._current_frames().get(self._loop_thread)  # noqa: SLF001 - the documented way to another thread's stack
        summary = traceback.extract_stack(frame)
        return [f"{each.filename}:{each.lineno} in {each.name}" for each in summary]


@asynccontextmanager
async def watching(report: Report, *, subject: str, silent_after: float) -> AsyncGenerator[None]:
    """Watch the running loop for the time of the block."""
    watch = LoopWatch(report, subject=subject, silent_after=silent_after)
    thread = threading.Thread(target=watch.watch, name=f"callboard-watch-{subject}", daemon=True)
    async with background() as tasks:
        tasks.start_soon(watch.beat)
        thread.start()
        try:
            yield
        finally:
            watch.end()
            thread.join(2 * EVERY)
