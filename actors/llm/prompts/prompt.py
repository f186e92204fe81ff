"""A prompt: what an agent says to a model, apart from what it says it about.

The part that is the same in each request comes first, since endpoints charge less for what they have read before;
inputs come last, and those that are not trusted stand between marks (:mod:`~.fence`).
"""

import re
from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from callboard.printable import printable

from ..errors import BadPrompt
from ..request import Turn
from .fence import RULE, checked_mark, fenced, without

PLACE: Final = re.compile(r"\{\{([a-z][a-z0-9_]{0,62})\}\}")
NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")
Trust = Literal["trusted", "untrusted"]


class Prompt(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt with its places for inputs, as :func:`~.prompt_file.read_prompt` and ``inline`` make it."""

    name: str
    version: int
    inputs: dict[str, Trust] = {}
    """All that are declared, in their order."""
    system: str = ""
    """With ``{{input}}`` for trusted inputs alone."""
    user: str = ""
    open: bool = False
    """Whether it takes inputs that it does not declare: they are not trusted, and come last, by name."""


def render(prompt: Prompt, inputs: Mapping[str, object], *, mark: str) -> tuple[Turn, ...]:
    """Return what a model is to read: the system turn, then the user's.

    Args:
        prompt: with a prompt that has no user part, and with no input, the system part is what the user says.
        inputs: a str as it is, all else as JSON.
        mark: the code of this request's marks: ``secrets.token_hex(8)``.

    Raises:
        BadPrompt: an input is missing, not declared, or cannot be written as JSON.
        CallerError: the mark is none.

    """
    checked_mark(mark)
    texts = {name: text for name, (_, text) in _texts(prompt, inputs).items()}
    shown = {name: _shown(prompt, name, text, mark) for name, text in texts.items()}
    system, user = _filled(prompt.system, shown), _filled(_user_part(prompt, texts), shown)
    if not user:
        return (Turn(role="user", content=system),)
    if any(_trust(prompt, name) == "untrusted" for name in texts):
        system = f"{system}\n\n{RULE}" if system else RULE
    turns = Turn(role="system", content=system), Turn(role="user", content=user)
    return turns if system else turns[1:]


def canonical(prompt: Prompt, inputs: Mapping[str, object]) -> bytes:
    """Return bytes that stand for this prompt with these inputs, whatever the marks: a part of a cache's key.

    Its text counts too, so that a prompt that was changed without a new version is another one. Raises BadPrompt.
    """
    given = [
        (name, kind, text.encode(errors="surrogatepass"))
        for name, (kind, text) in sorted(_texts(prompt, inputs).items())
    ]
    said = [part.encode(errors="surrogatepass") for part in (prompt.system, prompt.user)]
    trusts = sorted(prompt.inputs.items())
    return msgspec.msgpack.encode((prompt.name, prompt.version, said, trusts, prompt.open, given))


def _texts(prompt: Prompt, inputs: Mapping[str, object]) -> dict[str, tuple[str, str]]:
    """Return for each input whether it is text or JSON, and what it says: the declared ones first."""
    if missing := [name for name in prompt.inputs if name not in inputs]:
        raise _bad(prompt, f"is not given its input {missing[0]!r}", missing[0])
    more = sorted(name for name in inputs if name not in prompt.inputs)
    for name in more:
        if not prompt.open:
            raise _bad(prompt, f"has no input {name!r:.80}; legal: {', '.join(prompt.inputs) or 'none'}", name)
        if not NAME.fullmatch(name):
            raise _bad(prompt, f"cannot have an input {name!r:.80}: 1 to 63 of a-z, 0-9 and '_', a letter first", name)
    return {name: _text(prompt, name, inputs[name]) for name in (*prompt.inputs, *more)}


def _text(prompt: Prompt, name: str, value: Any) -> tuple[str, str]:
    if isinstance(value, str):
        return "text", value
    try:
        return "json", msgspec.json.encode(value, order="deterministic").decode()
    except (TypeError, ValueError, RecursionError, OverflowError, msgspec.MsgspecError) as error:
        raise _bad(prompt, f"cannot write its input {name!r} as JSON: {printable(str(error))[:200]}", name) from error


def _shown(prompt: Prompt, name: str, text: str, mark: str) -> str:
    if _trust(prompt, name) == "trusted":
        return without(mark, printable(text))
    return fenced(name, text, mark)


def _trust(prompt: Prompt, name: str) -> Trust:
    return prompt.inputs.get(name, "untrusted")


def _user_part(prompt: Prompt, names: Mapping[str, object]) -> str:
    """Return the user's part, with a place for each input that has none."""
    placed = {*PLACE.findall(prompt.system), *PLACE.findall(prompt.user)}
    added = [f"{name}:\n{{{{{name}}}}}" for name in names if name not in placed]
    return "\n\n".join([prompt.user, *added] if prompt.user else added)


def _filled(text: str, shown: Mapping[str, str]) -> str:
    """Fill all places at once: what an input brings is not looked at again."""
    return PLACE.sub(lambda place: shown[place[1]], printable(text))


def _bad(prompt: Prompt, why: str, name: str) -> BadPrompt:
    return BadPrompt(f"the prompt {prompt.name!r} {why}", prompt=prompt.name, input=printable(name)[:80])
