"""What an API of OpenAI's form answers with 200, read strictly: an answer, or the error that it is. Pure."""

from collections.abc import Mapping
from typing import Annotated, Final

import msgspec

from ..errors import AnswerCut, BadAnswer, ModelDown
from ..reply import Reply, Usage
from ..request import ToolCall
from .where import Where

ANSWER_MOST: Final = 16 * 1024 * 1024
NONSENSE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""The three families of errors that bytes from others raise in msgspec."""
_NULL: Final = msgspec.Raw(b"null")
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class _Cached(msgspec.Struct, frozen=True):
    cached_tokens: _Count | None = None


class _Reasoned(msgspec.Struct, frozen=True):
    reasoning_tokens: _Count | None = None


class _Usage(msgspec.Struct, frozen=True):
    prompt_tokens: _Count
    completion_tokens: _Count = 0
    prompt_tokens_details: _Cached | None = None
    completion_tokens_details: _Reasoned | None = None


class _Function(msgspec.Struct, frozen=True):
    name: str
    arguments: str = "{}"


class _Call(msgspec.Struct, frozen=True):
    function: _Function
    id: str | None = None


class _Message(msgspec.Struct, frozen=True):
    content: str | None = None
    tool_calls: list[_Call] | None = None
    refusal: str | None = None


class _Choice(msgspec.Struct, frozen=True):
    message: _Message
    finish_reason: str | None = None


class _Answer(msgspec.Struct, frozen=True):
    choices: list[_Choice] | None = None
    model: str | None = None
    usage: msgspec.Raw = _NULL
    error: msgspec.Raw = _NULL


_ANSWERS: Final = msgspec.json.Decoder(_Answer)
_USAGES: Final = msgspec.json.Decoder(_Usage | None)


def checked(content: bytes, where: Where) -> Reply:
    """Return the answer in a body. Raises BadAnswer, AnswerCut, or ModelDown where it is an error sent with 200."""
    if len(content) > ANSWER_MOST:
        raise bad(f"answered more than {ANSWER_MOST} bytes", where)
    answer = _decoded(content)
    if isinstance(answer, str):
        raise bad(answer, where)
    if bytes(answer.error) != b"null":
        raise failed(answer.error, where)
    usage, served = usage_of(answer.usage), where.name(answer.model or "")
    if not answer.choices:
        raise bad("answered without a choice", where, reply=Reply(text="", served=served, usage=usage))
    message, finish = answer.choices[0].message, answer.choices[0].finish_reason or ""
    reply = Reply(text=message.content or "", calls=_calls(message), served=served, usage=usage)
    check_end(reply, where, finish=finish, refusal=message.refusal or "")
    return reply


def check_plain(headers: Mapping[str, str], where: Where) -> None:
    """Raise BadAnswer where an answer comes packed: a few bytes of such can be gigabytes, and we asked for none."""
    packed = headers.get("content-encoding", "identity")
    if packed != "identity":
        raise bad(f"answered in an encoding that it was not asked for{where.said(packed)}", where)


def check_end(reply: Reply, where: Where, *, finish: str, refusal: str) -> None:
    """Raise BadAnswer or AnswerCut if a reply that ended with `finish` is none that can be used."""
    if refusal or finish == "content_filter":
        raise bad(f"refused to answer{where.said(refusal)}", where, reply=reply)
    if finish == "length":
        raise _cut(where, reply)
    if not reply.text and not reply.calls:
        raise bad("answered with neither text nor a call", where, reply=reply)


def usage_of(raw: msgspec.Raw) -> Usage | None:
    """Return the usage; None also where it is nonsense: an answer is not lost for it."""
    try:
        found = _USAGES.decode(raw)
    except NONSENSE:
        return None
    if found is None:
        return None
    cached, reasoned = found.prompt_tokens_details, found.completion_tokens_details
    return Usage(
        input=found.prompt_tokens,
        output=found.completion_tokens,
        cached=(cached and cached.cached_tokens) or 0,
        reasoning=(reasoned and reasoned.reasoning_tokens) or 0,
    )


def bad(what: str, where: Where, *, reply: Reply | None = None) -> BadAnswer:
    """Return the error that what came is no answer."""
    error = where.error(BadAnswer, what, cost="unknown")
    error.reply = reply
    return error


def failed(error: msgspec.Raw, where: Where) -> ModelDown:
    """Return the error that an endpoint tells of inside an answer: it was working on it, and failed."""
    words = bytes(error).decode(errors="replace")
    return where.error(ModelDown, f"failed while it answered{where.said(words)}", cost="unknown")


def _cut(where: Where, reply: Reply) -> AnswerCut:
    error = where.error(AnswerCut, "cut its answer off at its limit of tokens: raise `most`", cost="unknown")
    error.reply = reply
    return error


def _decoded(content: bytes) -> _Answer | str:
    """Return the answer, or what is wrong with it: raised from here the error would keep the bytes as its context."""
    try:
        return _ANSWERS.decode(content)
    except NONSENSE as error:
        page = content.lstrip()[:1] == b"<"
        return "answered with a web page: is the url right?" if page else f"answered with nonsense: {error}"


def _calls(message: _Message) -> tuple[ToolCall, ...]:
    """Return the calls; one without an id is given its place, so that its result can name it."""
    return tuple(
        ToolCall(id=call.id or f"call_{at}", name=call.function.name, arguments=call.function.arguments)
        for at, call in enumerate(message.tool_calls or ())
    )
