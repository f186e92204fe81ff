"""Prompts from files, ``NAME.prompt``, and from plain strings in code.

A file is a few lines of TOML between two lines of ``+++``, then the text::

    +++
    version = 3
    [inputs]
    policy = "trusted"
    ticket = "untrusted"
    +++
    You sort tickets. {{policy}}
    --- user ---
    Sort this one: {{ticket}}

Without the line ``--- user ---`` all is the system part, and the inputs follow, in their order, under their names.
"""

import hashlib
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, cast, get_args

from callboard.printable import printable

from ..errors import BadPrompt
from .prompt import Prompt, Trust
from .prompt_text import Fault, Part, check, check_name, places, split

_MOST: Final = 256 * 1024
_BORDER: Final = "+++"
_KEYS: Final = ("name", "version", "inputs")
_TRUSTS: Final = get_args(Trust)
_TOML_LINE: Final = re.compile(r" \(at line (\d+), column \d+\)$")


def read_prompt(path: Path) -> Prompt:
    """Read a prompt file. Raises BadPrompt, which names file, line and what is legal. Blocks on the disk."""
    try:
        return _parsed(path.stem, _text(_read(path)).split("\n"))
    except OSError as error:
        raise BadPrompt(f"{printable(str(path))}: {error.strerror}", path=printable(str(path))) from error
    except Fault as fault:
        shown = printable(str(path))
        raise BadPrompt(f"{shown}:{fault.line}: {printable(fault.text)}", path=shown, line=fault.line) from None


def inline(text: str) -> Prompt:
    """Return a prompt from a string in code; none of its inputs is trusted, and it takes more than it has places for.

    With a place in it and no line ``--- user ---``, all of it is the user's part. Raises BadPrompt.
    """
    try:
        system, user = split(text.split("\n"), 1)
        if user is None and places(system):
            system, user = Part(), system
        found = [*places(system), *(places(user) if user else [])]
        inputs: dict[str, Trust] = dict.fromkeys((place.name for place in found), "untrusted")
        check(system, user, inputs)
    except Fault as fault:
        raise BadPrompt(f"a prompt in code, line {fault.line}: {fault.text}", line=fault.line) from None
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).digest()
    return Prompt(
        name="inline", version=int.from_bytes(digest[:6], "big"), inputs=inputs, open=True,
        system=system.text, user=user.text if user else "",
    )  # fmt: skip


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_MOST + 1)


def _text(data: bytes) -> str:
    if len(data) > _MOST:
        raise Fault(1, f"it is longer than {_MOST} bytes")
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise Fault(data.count(b"\n", 0, error.start) + 1, "it is not UTF-8") from error


def _parsed(stem: str, lines: Sequence[str]) -> Prompt:
    borders = [at for at, line in enumerate(lines) if line.rstrip() == _BORDER]
    if borders[:1] != [0] or len(borders) < 2:
        raise Fault(1, f"it does not begin with TOML between two lines of {_BORDER!r}; legal: {', '.join(_KEYS)}")
    header = lines[1 : borders[1]]
    plain = _toml(header)
    name, version = plain.get("name", stem), _version(plain, header)
    if not isinstance(name, str):
        raise Fault(_line_of(header, "name"), f"name = {name!r:.80}; legal: a string")
    check_name(name, _line_of(header, "name"), "a prompt")
    inputs = _inputs(plain.get("inputs", {}), header)
    system, user = split(lines[borders[1] + 1 :], borders[1] + 2)
    check(system, user, inputs)
    if not system.text and user is None:
        raise Fault(borders[1] + 1, "it has no text; legal: some after the second line of '+++'")
    return Prompt(name=name, version=version, inputs=inputs, system=system.text, user=user.text if user else "")


def _toml(header: Sequence[str]) -> dict[str, Any]:
    try:
        plain = tomllib.loads("\n".join(header))
    except tomllib.TOMLDecodeError as error:
        found = _TOML_LINE.search(str(error))
        line = int(found[1]) if found else len(header)
        raise Fault(line + 1, f"{_TOML_LINE.sub('', str(error))}; legal: TOML, each key once") from error
    if unknown := [key for key in plain if key not in _KEYS]:
        raise Fault(_line_of(header, unknown[0]), f"unknown key {unknown[0]!r:.80}; legal: {', '.join(_KEYS)}")
    return plain


def _version(plain: dict[str, Any], header: Sequence[str]) -> int:
    version = plain.get("version")
    if type(version) is not int or not 1 <= version < 1 << 31:
        said = "it has no version" if version is None else f"version = {version!r:.80}"
        raise Fault(_line_of(header, "version"), f"{said}; legal: version = 1, and one more with each change")
    return version


def _inputs(found: Any, header: Sequence[str]) -> dict[str, Trust]:
    if not isinstance(found, dict):
        raise Fault(_line_of(header, "inputs"), "inputs is no table; legal: [inputs], then lines of name = trust")
    inputs = cast("dict[str, Any]", found)
    for name, trust in inputs.items():
        line = _line_of(header, name)
        check_name(name, line, "an input")
        if trust not in _TRUSTS:
            raise Fault(line, f"{name} = {trust!r:.80}; legal: {' or '.join(map(repr, _TRUSTS))}")
    return inputs


def _line_of(header: Sequence[str], key: str) -> int:
    """Return the line in the file that the header's key is in, the last of them, as tables come last; 1 if in none."""
    written = re.compile(rf"\s*\[?\s*[\"']?(inputs\.)?{re.escape(key)}\b")
    return max((at + 2 for at, line in enumerate(header) if written.match(line)), default=1)
