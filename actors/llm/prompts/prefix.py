"""Whether an endpoint can read the beginning of a prompt once for all requests, and charge less for it.

It does so for the longest beginning that is the same byte for byte, from about a thousand tokens on.
"""

import re
from typing import Final

from .prompt import PLACE, Prompt

LATE_MOST: Final = 200
"""Characters of stable text after the first input that are not worth a word."""
_MOVES: Final = {
    "a date": re.compile(r"\b\d{4}[-/.]\d{1,2}[-/.]\d{1,2}\b|\b\d{1,2}[./]\d{1,2}[./]\d{4}\b"),
    "a time": re.compile(r"\b\d{1,2}:\d{2}(?::\d{2})?\b"),
    "a uuid": re.compile(r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b|\b(?=\w*\d)[0-9a-f]{16,}\b"),
    "a counter": re.compile(r"(?:#|\b[Nn]o\.?\s?|\b[Nn]umber\s)\d{3,}\b|\b\d{6,15}\b"),
}


def prefix_faults(prompt: Prompt) -> list[str]:
    """Return what keeps endpoints from reusing the beginning of `prompt`, in words; empty if nothing does."""
    system = [f"the input {name!r} stands in the system part: move it last" for name in PLACE.findall(prompt.system)]
    late = _after_first(f"{prompt.system}\n{prompt.user}")
    found = [*system, *(f"the text has what looks like {what}: {word!r}" for what, word in _moving(prompt))]
    if late > LATE_MOST:
        found.append(f"{late} characters stand after the first input: put them before it")
    return found


def _after_first(text: str) -> int:
    """Return how much stable text comes after the first place."""
    place = PLACE.search(text)
    return 0 if place is None else len(PLACE.sub("", text[place.end() :]))


def _moving(prompt: Prompt) -> list[tuple[str, str]]:
    """Return what looks as if it were another one in each request, each stretch of text once."""
    text, found = PLACE.sub(" ", f"{prompt.system}\n{prompt.user}"), list[tuple[str, str]]()
    for what, pattern in _MOVES.items():
        found += [(what, word[0]) for word in pattern.finditer(text)]
        text = pattern.sub(" ", text)
    return found
