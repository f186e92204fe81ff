"""Tools: what a model may have done is what its actor may do. Each call is an act, under the actor's grant.

A model that read what a stranger wrote says what the stranger wants. So a tool runs only where the message in hand is
trusted as far as the tool asks, which is by default more than what comes from outside.
"""

import inspect
import typing
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec

from callboard.errors import kebab

from ..errors import BadActor
from .request import ToolForm
from .typed import form_of

RESULT_MOST: Final = 64 * 1024
"""Characters of a result that a model is given."""
_PLAIN: Final = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """An async function that a model may name. Its parameters are annotated; its docstring says what it is good for."""

    fn: Callable[..., Awaitable[Any]]
    name: str
    about: str
    trust: int
    """What the message in hand must have: 0 external, 1 internal, 2 owner."""
    gives: int
    """How far what it returns is believed; the message in hand is believed no more from then on."""
    arguments: type[msgspec.Struct]


def tool(fn: Callable[..., Awaitable[Any]], *, name: str = "", trust: int = 1, gives: int = 0) -> Tool:
    """Return `fn` as a tool, called as the grant names it: ``refund_card`` is the act ``refund-card``.

    Args:
        fn: an async function whose parameters are all annotated; a bound method of the actor is usual.
        name: of the act; default: made of the function's.
        trust: of the message in hand, below which it is refused. 0: also for what comes from outside, so only for
            what harms nobody whatever it is given.
        gives: how far its result is believed: 0, the default, if a stranger may have written any of it. After such a
            result no tool runs for this message that asks for more.

    Raises:
        BadActor: a parameter has no annotation, or takes any number of arguments.

    """
    called = name or kebab(fn.__name__.strip("_")).replace("_", "-")
    hints = typing.get_type_hints(fn, include_extras=True)
    fields = list[Any]()
    for parameter in inspect.signature(fn).parameters.values():
        if parameter.name not in hints or parameter.kind not in _PLAIN:
            raise BadActor(f"tool {called}: parameter {parameter.name!r} needs a type, and no star", actor=called)
        field = (parameter.name, hints[parameter.name])
        fields.append(field if parameter.default is parameter.empty else (*field, parameter.default))
    arguments = msgspec.defstruct(
        f"{called}-arguments", fields, frozen=True, kw_only=True, forbid_unknown_fields=True
    )  # fmt: skip
    about = (inspect.getdoc(fn) or called).split("\n\n")[0].replace("\n", " ")
    return Tool(fn=fn, name=called, about=about, trust=trust, gives=gives, arguments=arguments)


def forms_of(tools: Sequence[Tool]) -> tuple[ToolForm, ...]:
    """Return what a model is told of them."""
    return tuple(
        ToolForm(name=each.name, about=each.about, parameters=form_of(each.arguments).schema) for each in tools
    )


def arguments_of(chosen: Tool, text: str) -> list[Any]:
    """Return the arguments that a model wrote, in order; raises ValueError in words that it can mend."""
    try:
        found = msgspec.json.decode(text or "{}", type=chosen.arguments)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"the arguments of {chosen.name} do not fit: {error}") from error
    return [getattr(found, name) for name in chosen.arguments.__struct_fields__]
