"""The job that all sides store and handle, and what a receiver knows of those it has handled."""

import time
from statistics import median
from typing import Final

import msgspec
from nats.aio.msg import Msg

from callboard import Message

STREAM: Final = "bench-raw"
SUBJECT: Final = "bench.raw.job"
COUNT: Final = "bench.raw.count"
TASKIQ_COUNT: Final = "bench.taskiq.count"


class Job(Message):
    """A task; `sent` is on the clock that all processes of a machine share (monotonic seconds)."""

    number: int
    sent: float


class CountJobs(Message):
    """How many were there since the last time?"""


class Handled(Message):
    """So many, and half of them waited no longer than `lag` seconds from their storing to their handler."""

    count: int
    lag: float


KEPT: Final = 10_000
"""Waits that a receiver keeps, for their median; of a million it counts the others only."""


class Lags:
    """What a receiver has handled since it was asked last."""

    def __init__(self) -> None:
        self._count = 0
        self._lags: list[float] = []

    def add(self, job: Job) -> None:
        """Count a job whose handler begins."""
        self._count += 1
        if len(self._lags) < KEPT:
            self._lags.append(time.monotonic() - job.sent)

    def take(self) -> Handled:
        """Say how many there were, and begin again."""
        handled = Handled(count=self._count, lag=median(self._lags) if self._lags else 0.0)
        self._count, self._lags = 0, []
        return handled

    async def answer(self, message: Msg) -> None:
        """Answer over plain NATS."""
        await message.respond(msgspec.json.encode(self.take()))
