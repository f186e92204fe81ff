"""What cells and the office say to each other. Money is whole nano-dollars, a price pico-dollars for each token.

The office itself is of the supervisor's room; who asks it needs no more than this.
"""

from typing import Annotated, Final

import msgspec

from callboard.store.office import Cached, Entry

from ..message import Message

OFFICE: Final = "office"
KEY_BEGINS: Final = 8
"""Bytes of a key that tell it from others well enough to ask for it."""
Amount = Annotated[int, msgspec.Meta(ge=0)]


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """Of one token, in pico-dollars (a millionth of a dollar for a million tokens)."""

    input: Amount
    output: Amount
    cached: Amount


class AskTerms(Message):
    """On which terms may this actor ask models?"""

    actor: str


class Terms(Message):
    """What holds for one actor until the office or its cell starts anew."""

    prices: dict[str, Price]
    """Of each model, by the name that agents use."""
    metered: bool
    """Whether there are budgets."""
    exact: bool
    """Whether each call needs a lease of its own: a tree of messages has a budget."""
    limited: tuple[str, ...]
    """Models whose rate is limited."""
    keys: tuple[bytes, ...] | None
    """The beginnings of the keys of all that this actor was answered before; None: too many to say."""
    memory: int
    """How often this actor's memory was changed by hand: what it answered before is not given again."""


class TakeMoney(Message):
    """May this actor spend `least`, and better `want`? Asked again under the same id it is one lease."""

    id: str
    epoch: int
    actor: str
    tree: str
    least: Amount
    want: Amount
    urgent: bool = False
    """Whether it may be spent where others wait."""


class Money(Message):
    """A lease, or why there is none."""

    lease: int = 0
    amount: Amount = 0
    left: float | None = None
    """Seconds for which it is good; None: without end."""
    step_down: bool = False
    """Whether the cheaper model is to be asked."""
    urgent: bool = False
    """Whether it is for urgent calls alone."""
    spent: str = ""
    """The budget that has not so much left, if one has not."""
    wait: float = 0.0
    """Seconds until its window ends; 0.0: it has none."""
    queue: bool = False
    """Whether to wait for that instead of failing."""
    free: Amount = 0
    limit: Amount = 0


class TakeRate(Message):
    """At which rate may this cell ask a model, for which so many of its actors wait?"""

    epoch: int
    model: str
    actors: int
    tokens: int
    """Of the largest call that waits."""


class Rate(Message):
    """A share of a model's limits, for a few seconds."""

    requests: float = 0.0
    """A minute; 0.0: without limit."""
    tokens: float = 0.0
    most_tokens: float = 0.0
    """That one call may ever have; 0.0: without limit."""
    left: float = 0.0
    """Seconds for which this is so."""
    pause: float = 0.0
    """Seconds in which nobody may ask."""


class Pressed(Message):
    """The endpoint of a model said that it is asked too much, and to rest for so many seconds (0.0: it did not say)."""

    model: str
    wait: float


class Report(Message):
    """What calls did cost, what was answered, and which leases are not needed any more. Said again it counts once."""

    epoch: int
    entries: tuple[Entry, ...] = ()
    answers: tuple[Cached, ...] = ()
    back: tuple[int, ...] = ()


class Reported(Message):
    """It is in the file."""


class AskAnswer(Message):
    """Was this asked before?"""

    key: bytes


class Answered(Message):
    """What was answered then, if anything."""

    body: bytes | None = None
    expires: float = 0.0


class Judge(Message):
    """A message turned out well or badly."""

    message: str
    good: bool


class Judged(Message):
    """The answers that are not given again."""

    keys: tuple[bytes, ...] = ()


class ForgetAnswers(Message):
    """Forget what names somebody, or whatever rests on an actor's memory as it was."""

    actor: str
    about: str = ""


class AnswersForgotten(Message):
    """Where it was, and how often the memory was changed by now."""

    places: tuple[str, ...] = ()
    memory: int = 0
