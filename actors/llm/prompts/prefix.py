"""Whether an endpoint can read the beginning of a prompt once for all requests, and charge less for it.

It does so for the longest beginning that is the same byte for byte, from about a thousand tokens on.
"""

import re
from typing import Final

from .fence import RULE
from .prompt import PLACE, Prompt

LATE_MOST: Final = 200
"""Characters of stable text after the first input that are not worth a word."""
LEAST: Final = 1_024
"""Tokens below which endpoints keep no beginning."""
_PER_TOKEN: Final = 4
_MOVES: Final = {
    "a date": re.compile(r"\b\d{4}[-/.]\d{1,2}[-/.]\d{1,2}\b|\b\d{1,2}[./]\d{1,2}[./]\d{4}\b"),
    "a time": re.compile(r"\b\d{1,2}:\d{2}(?::\d{2})?\b"),
    "a uuid": re.compile(r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b|\b(?=\w*\d)[0-9a-f]{16,}\b"),
    "a counter": re.compile(r"(?:#|\b[Nn]o\.?\s?|\b[Nn]umber\s)\d{3,}\b|\b\d{6,15}\b"),
}


def prefix_faults(prompt: Prompt, *, longest: int = 0) -> list[str]:
    """Return what keeps endpoints from reusing the beginning of `prompt`, in words; empty if nothing does.

    `longest`: how many characters of input it is given; from this on, a short beginning is worth a remark.
    """
    system = [f"the input {name!r} stands in the system part: move it last" for name in PLACE.findall(prompt.system)]
    first, late = _around_first(f"{prompt.system}\n{prompt.user}")
    found = [*system, *(f"the text has what looks like {what}: {word!r}" for what, word in _moving(prompt))]
    if late > LATE_MOST:
        found.append(f"{late} characters stand after the first input: put them before it")
    stable = (first + len(RULE)) // _PER_TOKEN
    if longest > LEAST * _PER_TOKEN and stable < LEAST:
        found.append(
            f"remark: about {stable} tokens come before the first input, and endpoints keep none below {LEAST}"
        )
    return found


def _around_first(text: str) -> tuple[int, int]:
    """Return how much stable text comes before the first place, and how much after it."""
    place = PLACE.search(text)
    return (len(text), 0) if place is None else (place.start(), len(PLACE.sub("", text[place.end() :])))


def _moving(prompt: Prompt) -> list[tuple[str, str]]:
    """Return what looks as if it were another one in each request, each stretch of text once."""
    text, found = PLACE.sub(" ", f"{prompt.system}\n{prompt.user}"), list[tuple[str, str]]()
    for what, pattern in _MOVES.items():
        found += [(what, word[0]) for word in pattern.finditer(text)]
        text = pattern.sub(" ", text)
    return found
