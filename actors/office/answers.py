"""Answers that were given before."""

from typing import Final

from ..message import Message

KEY_BEGINS: Final = 8
"""Bytes of a key that tell it from others well enough to ask for it."""


class AskAnswer(Message):
    """Was this asked before?"""

    key: bytes


class Answered(Message):
    """What was answered then, if anything."""

    body: bytes | None = None
    expires: float = 0.0


class Judge(Message):
    """A message turned out well or badly."""

    message: str
    good: bool


class Judged(Message):
    """The answers that are not given again."""

    keys: tuple[bytes, ...] = ()


class ForgetAnswers(Message):
    """Forget what names somebody, or whatever rests on an actor's memory as it was."""

    actor: str
    about: str = ""


class AnswersForgotten(Message):
    """Where it was, and how often the memory was changed by now."""

    places: tuple[str, ...] = ()
    memory: int = 0
