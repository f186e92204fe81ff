"""What all sides say: the same types, of about the same size on the wire."""

from typing import Final

from callboard import Message

TEXT: Final = "The lamp in the third window has been out since Tuesday evening."
"""64 characters: a short sentence, as agents say them."""


class Note(Message):
    """Told; nobody waits for an answer."""

    number: int
    text: str = ""


class Count(Message):
    """Asks how many notes have been handled since this was last asked. It stands behind all notes sent before it."""


class Tally(Message):
    """The answer to Count."""

    handled: int


class Question(Message):
    """Asked."""

    number: int
    text: str = ""


class Answer(Message):
    """The answer to Question: its number, plus one, and its text."""

    number: int
    text: str = ""
