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


class Lags:
    """What a receiver has handled since it was asked last."""

    def __init__(self) -> None:
        self._lags: list[float] = []

    def add(self, job: Job) -> None:
        """Count a job whose handler begins."""
        self._lags.append(time.monotonic() - job.sent)

    def take(self) -> Handled:
        """Say how many there were, and begin again."""
        lags, self._lags = self._lags, []
        return Handled(count=len(lags), lag=median(lags) if lags else 0.0)

    async def answer(self, message: Msg) -> None:
        """Answer over plain NATS."""
        await message.respond(msgspec.json.encode(self.take()))
