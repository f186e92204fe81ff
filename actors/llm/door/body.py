"""A request as the body that an API of OpenAI's form takes. Pure."""

from typing import Any, cast

from callboard.printable import printable

from ..request import AnswerForm, Request, ToolForm, Turn
from ..tables import EndpointTable


def body_of(request: Request, table: EndpointTable, *, stream: bool) -> dict[str, Any]:
    """Return the body. What we decide wins over ``extra``: the limit of the answer is what it may cost."""
    body: dict[str, Any] = {
        **request.extra,
        "model": request.model,
        "messages": [_message(turn) for turn in request.turns],
        table.output_limit: request.most,
    }
    if request.temperature is not None:
        body["temperature"] = request.temperature
    if request.seed is not None:
        body["seed"] = request.seed
    if request.form is not None:
        body["response_format"] = _format(request.form)
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
    return body | {"stream": True, "stream_options": {"include_usage": True}} if stream else body


def is_strict(schema: object) -> bool:
    """Whether each object in a schema names all its fields and requires them: endpoints that promise a form ask that.

    They refuse the request otherwise, so it is asked for only where it can be had.
    """
    if isinstance(schema, list):
        return all(is_strict(part) for part in cast("list[object]", schema))
    if not isinstance(schema, dict):
        return True
    found = cast("dict[str, Any]", schema)
    if found.get("type") == "object" or "properties" in found:
        closed = found.get("additionalProperties") is False
        if not closed or set(found.get("required", ())) != set(found.get("properties", ())):
            return False
    return all(is_strict(part) for part in found.values())


def _message(turn: Turn) -> dict[str, Any]:
    message: dict[str, Any] = {"role": turn.role, "content": printable(turn.content)}
    if turn.role == "tool":
        message["tool_call_id"] = turn.answers
    if turn.calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in turn.calls
        ]
        message["content"] = message["content"] or None
    return message


def _format(form: AnswerForm) -> dict[str, Any]:
    schema = {"name": form.name, "schema": form.schema, "strict": is_strict(form.schema)}
    return {"type": "json_schema", "json_schema": schema}


def _tool(tool: ToolForm) -> dict[str, Any]:
    return {
        "type": "function",
        "function": {"name": tool.name, "description": tool.about, "parameters": tool.parameters},
    }
