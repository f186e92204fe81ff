"""Tools for endpoints that know none: the choice among them is asked for as a typed answer. Pure.

A model that is held to a schema writes either ``{"tool": ..., "arguments": ...}`` or ``{"answer": ...}``; what was
called before, and what came of it, it reads as plain turns.
"""

from typing import Any, Final, cast

import msgspec

from ..reply import Reply
from ..request import AnswerForm, Request, ToolCall, ToolForm, Turn
from .answer import NONSENSE, bad
from .where import Where

_NAME: Final = "tool_or_answer"
_SAY: Final = """\
You can use tools. Reply with one JSON object and nothing else, in one of two shapes.
To use a tool: {"tool": "<its name>", "arguments": {<what it takes>}}
To answer: {"answer": <your answer>}
Use a tool only if you need what it gives and do not have it yet. Its result is told to you in the next turn.
The tools, each with the JSON schema of its arguments:"""
_NOTHING: Final = msgspec.Raw(b"")


class _Choice(msgspec.Struct, frozen=True):
    tool: str = ""
    arguments: msgspec.Raw = msgspec.Raw(b"{}")
    answer: msgspec.Raw = _NOTHING


_CHOICES: Final = msgspec.json.Decoder(_Choice)


def to_schema(request: Request) -> Request:
    """Return the same request without tools, but with a form in which one of them can be named."""
    form = AnswerForm(name=_NAME, schema=_choice_of(request))
    return msgspec.structs.replace(request, turns=_turns(request), form=form, tools=())


def from_schema(reply: Reply, request: Request, where: Where) -> Reply:
    """Return the reply with its call, or with its text; `request` is the one with tools. Raises BadAnswer."""
    choice = _decoded(reply.text)
    if choice is None or bool(choice.tool) == bool(bytes(choice.answer)):
        raise bad("named neither a tool nor an answer", where, reply=reply)
    if choice.tool:
        before = sum(len(turn.calls) for turn in request.turns)
        call = ToolCall(id=f"call_{before}", name=choice.tool, arguments=bytes(choice.arguments).decode())
        return msgspec.structs.replace(reply, text="", calls=(call,))
    if not (text := _text(choice.answer)):
        raise bad("answered with nothing", where, reply=reply)
    return msgspec.structs.replace(reply, text=text)


def _turns(request: Request) -> tuple[Turn, ...]:
    """Return what the model reads: neighbours of one role as one turn, since many models take them only in turns."""
    tools = "\n".join(_line(tool) for tool in request.tools)
    told: list[Turn] = [Turn(role="system", content=f"{_SAY}\n{tools}")]
    names = {call.id: call.name for turn in request.turns for call in turn.calls}
    for turn in request.turns:
        plain = _plain(turn, names)
        if plain.role == "system" and len(told) == 1:  # the caller's words first: they are the same for all its calls
            told[0] = Turn(role="system", content=f"{plain.content}\n\n{told[0].content}")
        elif plain.role == told[-1].role:
            told[-1] = Turn(role=plain.role, content=f"{told[-1].content}\n\n{plain.content}")
        else:
            told.append(plain)
    return tuple(told)


def _line(tool: ToolForm) -> str:
    return f"- {tool.name}: {tool.about} {msgspec.json.encode(tool.parameters).decode()}"


def _plain(turn: Turn, names: dict[str, str]) -> Turn:
    """Return a turn without what only tools have."""
    if turn.role == "tool":
        return Turn(role="user", content=f"The result of {names.get(turn.answers, 'a tool')}: {turn.content}")
    if not turn.calls:
        return turn
    calls = [f'{{"tool": "{call.name}", "arguments": {call.arguments or "{}"}}}' for call in turn.calls]
    return Turn(role=turn.role, content="\n".join([turn.content, *calls] if turn.content else calls))


def _choice_of(request: Request) -> dict[str, Any]:
    """Return the schema of the choice, with the definitions of all its parts at its root, where references look."""
    shared: dict[str, Any] = {}
    shapes: list[dict[str, Any]] = []
    for at, tool in enumerate(request.tools):
        arguments = _lifted(tool.parameters, f"tool{at}.", shared)
        shapes.append(_closed({"tool": {"type": "string", "enum": [tool.name]}, "arguments": arguments}))
    answer = _lifted(request.form.schema, "answer.", shared) if request.form else {"type": "string"}
    shapes.append(_closed({"answer": answer}))
    return {"anyOf": shapes, "$defs": shared} if shared else {"anyOf": shapes}


def _closed(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False}


def _lifted(schema: dict[str, Any], prefix: str, shared: dict[str, Any]) -> dict[str, Any]:
    """Move the definitions of a schema to `shared`, under names with `prefix`; return what is left of it."""
    for name, definition in schema.get("$defs", {}).items():
        shared[prefix + name] = _renamed(definition, prefix)
    return cast("dict[str, Any]", _renamed({key: part for key, part in schema.items() if key != "$defs"}, prefix))


def _renamed(part: object, prefix: str) -> object:
    if isinstance(part, list):
        return [_renamed(each, prefix) for each in cast("list[object]", part)]
    if not isinstance(part, dict):
        return part
    found = {key: _renamed(each, prefix) for key, each in cast("dict[str, object]", part).items()}
    reference = found.get("$ref")
    if isinstance(reference, str) and reference.startswith("#/$defs/"):
        found["$ref"] = f"#/$defs/{prefix}{reference.removeprefix('#/$defs/')}"
    return found


def _decoded(text: str) -> _Choice | None:
    try:
        return _CHOICES.decode(text)
    except NONSENSE:
        return None


def _text(answer: msgspec.Raw) -> str:
    """Return a string as what it says, and anything else as the JSON that it is."""
    raw = bytes(answer)
    return msgspec.json.decode(raw, type=str) if raw.startswith(b'"') else raw.decode()
