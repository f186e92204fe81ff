"""What a model's endpoint gives back."""

import msgspec

from .request import ToolCall


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens that an endpoint says a call has used. `input` has the cached ones in it, `output` the reasoning."""

    input: int = 0
    output: int = 0
    cached: int = 0
    reasoning: int = 0


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """A whole answer, checked for form and not for sense."""

    text: str
    calls: tuple[ToolCall, ...] = ()
    served: str = ""
    """The model that answered, as the endpoint names it."""
    usage: Usage | None = None
    """None: the endpoint did not say."""


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a streamed answer: a piece of text, or what is known at its end."""

    text: str = ""
    served: str = ""
    usage: Usage | None = None
    finish: str = ""
    """Why it ended; empty until then."""
