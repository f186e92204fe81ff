"""What the peers have in common: their messages, and how they are told what to do."""

import sys
from collections.abc import Awaitable, Callable
from typing import NamedTuple

TEXT = "The lamp in the third window has been out since Tuesday evening."
IN_FLIGHT = 64


class Note(NamedTuple):
    """Told; nobody waits for an answer."""

    number: int
    text: str


class Count(NamedTuple):
    """Asks how many notes have been handled since this was last asked."""

    since: int = 0


class Question(NamedTuple):
    """Asked."""

    number: int
    text: str


class Answer(NamedTuple):
    """The answer to Question: its number, plus one, and its text."""

    number: int
    text: str


def serve(tell: Callable[[int], int], ask: Callable[[int], int]) -> None:
    """Do what comes on standard input until it ends."""
    print("ready", flush=True)
    for line in sys.stdin:
        what, count = line.split()
        print((tell if what == "tell" else ask)(int(count)), flush=True)


async def serve_async(tell: Callable[[int], Awaitable[int]], ask: Callable[[int], Awaitable[int]]) -> None:
    """Do what comes on standard input until it ends; only one thing is done at a time, so reading may block."""
    print("ready", flush=True)
    for line in sys.stdin:
        what, count = line.split()
        print(await (tell if what == "tell" else ask)(int(count)), flush=True)
