"""The text of a prompt: its two parts, and whether its places and its inputs belong together."""

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from .prompt import NAME, PLACE, Trust

USER: Final = "--- user ---"
LEGAL_NAME: Final = "use 1 to 63 of a-z, 0-9 and '_', starting with a letter"
_OPENED: Final = re.compile(r"\{\{[^{}]{0,80}(\}\})?")


class Fault(Exception):
    """What is wrong with a prompt, and in which line."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line, self.text = line, text


class Part(NamedTuple):
    """A part of the text, and the line that it begins in."""

    text: str = ""
    line: int = 1


class Place(NamedTuple):
    """Where an input stands."""

    name: str
    line: int


def split(lines: Sequence[str], line: int) -> tuple[Part, Part | None]:
    """Return the system part and the user's, if there is one; `line` is the number of the first line."""
    borders = [at for at, text in enumerate(lines) if text.rstrip() == USER]
    if len(borders) > 1:
        raise Fault(line + borders[1], f"{USER!r} stands twice; legal: once")
    if not borders:
        return _part(lines, line), None
    at = borders[0]
    system, user = _part(lines[:at], line), _part(lines[at + 1 :], line + at + 1)
    if not user.text:
        raise Fault(line + at, f"nothing follows {USER!r}; legal: text, or no such line")
    return system, user


def places(part: Part) -> list[Place]:
    """Return all places in a part. Raises Fault for what looks like one and is none."""
    for opened in _OPENED.finditer(part.text):
        if not PLACE.match(part.text, opened.start()):
            shown = f"{opened[0]!r} is no place of an input"
            raise Fault(_line(part, opened.start()), f"{shown}; legal: {{{{name}}}}, {LEGAL_NAME}")
    return [Place(found[1], _line(part, found.start())) for found in PLACE.finditer(part.text)]


def check(system: Part, user: Part | None, inputs: Mapping[str, Trust]) -> None:
    """Raise Fault unless each place has its declared input, and each input one place or a part without a user's."""
    seen: set[str] = set()
    in_system = places(system)
    for place in [*in_system, *(places(user) if user else [])]:
        if place.name not in inputs:
            legal = ", ".join(inputs) or "none"
            raise Fault(place.line, f"{{{{{place.name}}}}} is no declared input; legal: {legal}")
        if place.name in seen:
            raise Fault(place.line, f"{{{{{place.name}}}}} stands twice; legal: once")
        seen.add(place.name)
    for place in in_system:
        if inputs[place.name] == "untrusted":
            why = f"{{{{{place.name}}}}} is not trusted and stands in the system part"
            raise Fault(place.line, f"{why}; legal: after a line {USER!r}")
    if user and (absent := [name for name in inputs if name not in seen]):
        raise Fault(user.line, f"the input {absent[0]!r} has no place; legal: {{{{{absent[0]}}}}} in the text")


def check_name(name: str, line: int, what: str) -> None:
    """Raise Fault unless `name` passes the gate."""
    if not NAME.fullmatch(name):
        raise Fault(line, f"{name!r:.80} is no name of {what}: {LEGAL_NAME}")


def _part(lines: Sequence[str], line: int) -> Part:
    """Drop what is empty around the text."""
    text = "\n".join(lines).rstrip()
    shorter = re.sub(r"\A(\s*\n)+", "", text)
    return Part(shorter, line + text.count("\n") - shorter.count("\n"))


def _line(part: Part, at: int) -> int:
    return part.line + part.text.count("\n", 0, at)
