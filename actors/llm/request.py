"""What is asked of a model: plain values, the same for each endpoint and each client."""

from typing import Any, Final, Literal

import msgspec

OURS: Final = frozenset(
    ("best_of", "max_completion_tokens", "max_tokens", "messages", "model", "n", "response_format", "stream", "tools")
)
"""Parameters that nobody sends beside us: several answers, or longer ones, would cost more than is reserved."""
Role = Literal["system", "user", "assistant", "tool"]


class ToolCall(msgspec.Struct, frozen=True, kw_only=True):
    """A tool that a model wants to have run. `arguments` is JSON as the model wrote it: checked by nobody yet."""

    id: str
    name: str
    arguments: str


class Turn(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One message of the conversation with a model."""

    role: Role
    content: str = ""
    calls: tuple[ToolCall, ...] = ()
    """Of an assistant: the tools that it wants to have run."""
    answers: str = ""
    """Of a tool: the id of the call that it answers."""


class ToolForm(msgspec.Struct, frozen=True, kw_only=True):
    """A tool as a model is told of it; `parameters` is a JSON schema of an object."""

    name: str
    about: str
    parameters: dict[str, Any]


class AnswerForm(msgspec.Struct, frozen=True, kw_only=True):
    """The JSON schema that an answer must have; `name` is what the endpoint calls it."""

    name: str
    schema: dict[str, Any]


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One call. `most` is the limit of tokens in the answer, and so the worst that it can cost."""

    model: str
    """As the endpoint calls it."""
    turns: tuple[Turn, ...]
    most: int
    temperature: float | None = 0.0
    """None: not sent; some models take none."""
    seed: int | None = None
    form: AnswerForm | None = None
    tools: tuple[ToolForm, ...] = ()
    extra: dict[str, Any] = {}
    """Other parameters of the endpoint, sent as they are."""
