"""What a scripted model says next, and its form in JSON: whole, or in events. Pure."""

from typing import Any, Final

import msgspec

from ..reply import Usage
from ..request import ToolCall

DONE: Final = b"data: [DONE]\n\n"


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One answer. `usage` of None: counted from the bytes; `after`: seconds of thought before it."""

    text: str = ""
    usage: Usage | None = None
    calls: tuple[ToolCall, ...] = ()
    finish: str = ""
    refusal: str = ""
    after: float = 0.0


def whole(line: Line, asked: dict[str, Any]) -> dict[str, Any]:
    """Return the answer as one object."""
    message: dict[str, Any] = {"role": "assistant", "content": line.text if line.text or not line.calls else None}
    if line.calls:
        message["tool_calls"] = _calls(line)
    if line.refusal:
        message["refusal"] = line.refusal
    choice = {"index": 0, "message": message, "finish_reason": _finish(line)}
    return _head(asked, "chat.completion") | {"choices": [choice], "usage": _usage(line, asked)}


def events(line: Line, asked: dict[str, Any]) -> list[bytes]:
    """Return the answer as server-sent events, a word or a call in each."""
    words = line.text.split(" ")
    texts = [word if at == len(words) - 1 else f"{word} " for at, word in enumerate(words)]
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": text} for text in texts if text]
    deltas += [{"tool_calls": [call | {"index": at}]} for at, call in enumerate(_calls(line))]
    if line.refusal:
        deltas.append({"refusal": line.refusal})
    found = [event(_chunk(asked, delta, None)) for delta in deltas]
    found.append(event(_chunk(asked, {}, _finish(line))))
    if asked.get("stream_options", {}).get("include_usage"):
        found.append(event(_head(asked, "chat.completion.chunk") | {"choices": [], "usage": _usage(line, asked)}))
    return [*found, DONE]


def event(body: object) -> bytes:
    """Return an event whose data is `body`."""
    return b"data: " + msgspec.json.encode(body) + b"\n\n"


def _finish(line: Line) -> str:
    return line.finish or ("tool_calls" if line.calls else "stop")


def _calls(line: Line) -> list[dict[str, Any]]:
    return [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in line.calls
    ]


def _head(asked: dict[str, Any], kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-scripted", "object": kind, "created": 1_700_000_000, "model": asked.get("model", "")}


def _chunk(asked: dict[str, Any], delta: dict[str, Any], finish: str | None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return _head(asked, "chat.completion.chunk") | {"choices": [choice]}


def _usage(line: Line, asked: dict[str, Any]) -> dict[str, Any]:
    """Four bytes are a token, where the test says nothing else."""
    counted = Usage(
        input=len(msgspec.json.encode(asked.get("messages", []))) // 4 + 1, output=len(line.text.encode()) // 4 + 1
    )
    usage = line.usage or counted
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }
