"""Tables of a fleet file about models: whom agents ask, and what it may cost."""

from typing import Annotated, Any, Literal

import msgspec

Rate = Annotated[float, msgspec.Meta(gt=0, le=1e9)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=86_400.0)]
Dollars = Annotated[float, msgspec.Meta(ge=1e-6, le=1e6)]
PerMillion = Annotated[float, msgspec.Meta(ge=0, le=1e5)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class EndpointTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[[endpoint]]``: any API of OpenAI's form."""

    name: str
    url: str
    key_file: str = ""
    """A file of its owner alone, with the key: never the key itself."""
    key_env: str = ""
    sensitive: bool = False
    """Whether it may be given what private actors say."""
    output_limit: Literal["max_tokens", "max_completion_tokens"] = "max_completion_tokens"
    """How it calls the limit of the answer's tokens."""
    tools: Literal["native", "schema"] = "native"
    """``schema``: it knows no tools; a choice among them is asked for as a typed answer."""


class PriceTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Dollars for a million tokens."""

    input: PerMillion
    output: PerMillion
    cached: PerMillion | None = None
    """Of input that the endpoint had read before; None: as other input."""


class ModelTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[[model]]``: a model at an endpoint, under the name by which agents ask for it."""

    name: str
    endpoint: str = "default"
    model: str = ""
    """As the endpoint calls it; default: `name`."""
    price: PriceTable | None = None
    """None: as genai-prices knows it."""
    requests_per_minute: Rate | None = None
    tokens_per_minute: Rate | None = None
    temperature: bool = True
    """Whether it takes one."""
    cheaper: str = ""
    """What is taken instead from a budget's `step_down` on."""
    fallback: tuple[str, ...] = ()
    """What is taken instead, in this order, while its endpoint is down."""
    send: dict[str, Any] = {}
    """Other parameters for each request."""


class BudgetTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[[budget]]``: what may be spent, by whom, in which time. The lines are shares of `dollars`."""

    dollars: Dollars
    scope: Literal["fleet", "actor", "tree", "call"] = "fleet"
    """``tree``: all that follows from one message; ``actor``: each, or the one that `actor` names."""
    actor: str = ""
    per: Literal["hour", "day", "month"] | None = None
    """In UTC. A tree and a call have none; the others need one."""
    warn: Share = 0.8
    step_down: Share = 0.0
    """From here on the cheaper model is taken; 0: never."""
    queue: Share = 0.0
    """From here on calls wait for the next window, as long as they have time; 0: never."""


class LlmTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[llm]``. `url` and `model` are a short form of one endpoint with one model."""

    url: str = ""
    model: str = ""
    key_file: str = ""
    key_env: str = ""
    price: PriceTable | None = None
    local: bool = False
    """Whether a small model runs in a cell of its own: ``callboard model fetch smollm2`` brings it here."""
    default: str = ""
    """The model that is asked where an agent names none; default: the first."""
    timeout: Seconds = 60.0
    """Seconds for one call with all its waits and tries, where an agent says no other."""
    idle: Seconds = 30.0
    """Seconds that a stream may give nothing."""
    cache_for: Annotated[float, msgspec.Meta(ge=0, le=1e9)] = 86_400.0
    """Seconds for which an answer is given again to the same question; 0: never."""
