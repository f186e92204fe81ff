"""An endpoint's words, made fit for an error's text."""

from typing import Final
from urllib.parse import urlsplit

from callboard.printable import printable

_MOST: Final = 200
_SEEN: Final = 20_000
"""Of what was read less than all: a key that the reader's own cap cuts in two is further back."""


def said(words: str, *, key: str) -> str:
    """Return the beginning of `words` on one line, without the key: some endpoints repeat it."""
    hidden = (words.replace(key, "***") if key else words)[:_SEEN]
    line = "".join(letter if letter.isprintable() else " " for letter in printable(hidden))
    return " ".join(line.split())[:_MOST]


def place(url: str) -> str:
    """Return the host and port of a URL, without a user's name and password."""
    try:
        return urlsplit(url).netloc.rpartition("@")[2] or "no host"
    except ValueError:
        return "no host"
