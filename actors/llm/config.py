"""The tables about models, checked once and made whole: short forms written out, the model in the box added."""

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Final, TypeVar

import msgspec

from .errors import BadLlm
from .request import OURS
from .tables import BudgetTable, EndpointTable, LlmTable, ModelTable, PriceTable
from .url import LEGAL_URL, is_legal

LOCAL: Final = "local"
"""The endpoint, and the short name, of the model that runs in a cell of its own."""
LOCAL_WEIGHTS: Final = "smollm2"
_ENDPOINT_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,62}")
_VARIABLE: Final = re.compile(r"[A-Z][A-Z0-9_]{0,127}")
_MODEL_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}")
Named = TypeVar("Named", EndpointTable, ModelTable)


class LlmConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Whom the agents of a fleet may ask, and for how much. Without models there is nobody to ask."""

    default: str = ""
    timeout: float = 60.0
    idle: float = 30.0
    cache_for: float = 86_400.0
    endpoints: tuple[EndpointTable, ...] = ()
    models: tuple[ModelTable, ...] = ()
    budgets: tuple[BudgetTable, ...] = ()
    local: bool = False

    @property
    def on(self) -> bool:
        """Whether there is anybody to ask."""
        return bool(self.models)

    def for_cells(self) -> "LlmConfig":
        """Return what cells need to know: not what may be spent, which is the office's affair."""
        return msgspec.structs.replace(self, budgets=())

    def model(self, name: str) -> ModelTable | None:
        """Return a model by the name that agents use; the default one for an empty name."""
        return next((model for model in self.models if model.name == (name or self.default)), None)

    def limited(self, name: str) -> bool:
        """Return whether the rate of a model is limited."""
        table = self.model(name)
        return table is not None and bool(table.requests_per_minute or table.tokens_per_minute)

    def endpoint(self, name: str) -> EndpointTable:
        """Return the endpoint that a model is at."""
        return next(endpoint for endpoint in self.endpoints if endpoint.name == name)


def settle_llm(
    llm: LlmTable, endpoints: Sequence[EndpointTable] = (), models: Sequence[ModelTable] = (),
    budgets: Sequence[BudgetTable] = (), *, actors: Collection[str] | None = None,
) -> LlmConfig:  # fmt: skip
    """Return what the tables mean. Raises BadLlm with the key that is wrong, and what is legal.

    Args:
        llm, endpoints, models, budgets: as written.
        actors: whom budgets may name; None: anybody.

    """
    places, choices = list(endpoints), list(models)
    if llm.url or llm.model:
        if not (llm.url and llm.model):
            raise BadLlm("url and model go together: where the API begins, and which model of it", key="llm.url")
        short = EndpointTable(name="default", url=llm.url, key_file=llm.key_file, key_env=llm.key_env)
        places.insert(0, short)
        choices.insert(0, ModelTable(name=llm.model, price=llm.price))
    elif llm.price is not None:
        raise BadLlm("a price without a model: prices of [[model]] tables stand there", key="llm.price")
    elif llm.key_file or llm.key_env:
        raise BadLlm("a key without a url: keys of [[endpoint]] tables stand there", key="llm.key_file")
    if llm.local:
        # Its address is made anew with each life: its cell says where it is.
        places.append(EndpointTable(name=LOCAL, url="", sensitive=True, output_limit="max_tokens", tools="schema"))
        choices.append(ModelTable(name=LOCAL_WEIGHTS, endpoint=LOCAL, price=PriceTable(input=0.0, output=0.0)))
    default = llm.default or (choices[0].name if choices else "")
    config = LlmConfig(
        default=default, timeout=llm.timeout, idle=llm.idle, cache_for=llm.cache_for, endpoints=tuple(places),
        models=tuple(choices), budgets=tuple(budgets), local=llm.local,
    )  # fmt: skip
    _check(config, actors, shift=bool(llm.url))
    return config


def _check(config: LlmConfig, actors: Collection[str] | None, *, shift: bool) -> None:
    """Refuse what cannot be; with `shift` the first endpoint and model are those of the short form."""
    _check_names(config.endpoints, "endpoint", _ENDPOINT_NAME, shift=shift)
    _check_names(config.models, "model", _MODEL_NAME, shift=shift)
    faults = (
        *(fault for at, table in enumerate(config.endpoints, -shift) for fault in _endpoint_faults(at, table)),
        *(fault for at, table in enumerate(config.models, -shift) for fault in _model_faults(at, table, config)),
        *(fault for at, table in enumerate(config.budgets) for fault in _budget_faults(at, table, actors)),
    )
    seen = [(table.scope, table.actor, table.per) for table in config.budgets]
    if twice := [at for at, each in enumerate(seen) if each in seen[:at]]:
        raise BadLlm("there is another budget of the same scope and time", key=f"budget[{twice[0]}].scope")
    for key, text in faults:
        raise BadLlm(text, key=key)
    if config.default and config.model(config.default) is None:
        raise BadLlm(f"default = {config.default!r}: there are {_names(config.models)}", key="llm.default")
    if not config.models and (config.endpoints or config.budgets):
        raise BadLlm("there are endpoints or budgets, and no [[model]]", key="llm")


def _check_names(tables: Sequence[Named], kind: str, legal: re.Pattern[str], *, shift: bool) -> None:
    seen = set[str]()
    for at, table in enumerate(tables, -shift):
        if legal.fullmatch(table.name) is None:
            raise BadLlm(f"{table.name!r} is no name: {legal.pattern}", key=_key(kind, at, "name"))
        if table.name in seen:
            raise BadLlm(f"two are named {table.name!r}", key=_key(kind, at, "name"))
        seen.add(table.name)


def _endpoint_faults(at: int, table: EndpointTable) -> Iterator[tuple[str, str]]:
    keyed = bool(table.key_file or table.key_env)
    if table.name == LOCAL:
        if table.url:
            yield _key("endpoint", at, "name"), f"{LOCAL!r} is kept for the model in the box: [llm] local = true"
    elif not is_legal(table.url, keyed=keyed):
        yield _key("endpoint", at, "url"), f"not a legal url: {LEGAL_URL}"
    if table.key_file and table.key_env:
        yield _key("endpoint", at, "key_env"), "either it or key_file"
    if table.key_env and not _VARIABLE.fullmatch(table.key_env):
        yield _key("endpoint", at, "key_env"), "the name of a variable, A-Z 0-9 _, and never the key itself"


def _model_faults(at: int, table: ModelTable, config: LlmConfig) -> Iterator[tuple[str, str]]:
    known = {model.name for model in config.models}
    if table.endpoint not in {endpoint.name for endpoint in config.endpoints}:
        yield _key("model", at, "endpoint"), f"no endpoint is named {table.endpoint!r}: {_names(config.endpoints)}"
    if taken := OURS & table.send.keys():
        yield (
            _key("model", at, "send"),
            f"{sorted(taken)[0]!r} is not for a fleet file: what a call may cost depends on it",
        )
    for name, others in (("cheaper", (table.cheaper,) if table.cheaper else ()), ("fallback", table.fallback)):
        for other in others:
            if other not in known or other == table.name:
                yield _key("model", at, name), f"{other!r} is no other model: {_names(config.models)}"


def _budget_faults(at: int, table: BudgetTable, actors: Collection[str] | None) -> Iterator[tuple[str, str]]:
    timed = table.scope in ("fleet", "actor")
    if timed and table.per is None:
        yield f"budget[{at}].per", f"a budget of scope {table.scope!r} needs per = 'hour', 'day' or 'month'"
    if not timed and table.per is not None:
        yield f"budget[{at}].per", f"a budget of scope {table.scope!r} has no time"
    if table.actor and table.scope != "actor":
        yield f"budget[{at}].actor", "only a budget of scope 'actor' names one"
    if table.actor and actors is not None and table.actor not in actors:
        yield f"budget[{at}].actor", f"no actor is named {table.actor!r}: {', '.join(sorted(actors))}"
    if table.queue and not timed:
        yield f"budget[{at}].queue", f"a budget of scope {table.scope!r} has no next window to wait for"


def _key(kind: str, at: int, name: str) -> str:
    """Return where a fault stands; before the first table is the short form in ``[llm]``."""
    if at >= 0:
        return f"{kind}[{at}].{name}"
    return f"llm.{'model' if kind == 'model' and name == 'name' else name}"


def _names(tables: Sequence[EndpointTable] | Sequence[ModelTable]) -> str:
    return ", ".join(table.name for table in tables) or "none"
