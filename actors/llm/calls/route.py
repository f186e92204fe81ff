"""Which models may answer a call, in which order. Pure: sensitivity first, then budget, then health."""

from collections.abc import Callable, Iterator

import msgspec

from ..config import LlmConfig
from ..errors import NoModelAllowed, NoModels, UnknownModelName
from ..tables import EndpointTable, ModelTable


class Route(msgspec.Struct, frozen=True):
    """A model and where it is."""

    model: ModelTable
    endpoint: EndpointTable


def require_models(config: LlmConfig) -> None:
    """Raise NoModels unless there is somebody to ask."""
    if not config.on:
        raise NoModels("this fleet has no model to ask: give it [llm] url and model, or local = true")


def routes_of(
    config: LlmConfig, name: str, *, sensitive: bool, step_down: bool = False,
    is_down: Callable[[Route], bool] = lambda _route: False,
) -> list[Route]:  # fmt: skip
    """Return whom to ask, the best first; what is down comes last, as it may be back by then.

    Args:
        config: of the fleet.
        name: of the model; empty: the default.
        sensitive: whether only endpoints may be asked that may see such.
        step_down: whether a budget wants the cheaper model.
        is_down: whether it is of no use to ask now: its endpoint does not answer, or wants a rest.

    Raises:
        NoModels, UnknownModelName, NoModelAllowed: there is nobody to ask.

    """
    require_models(config)
    chosen = config.model(name)
    if chosen is None:
        known = ", ".join(model.name for model in config.models)
        raise UnknownModelName(f"no model is named {name!r}: {known}", model=name)
    names = [chosen.cheaper or chosen.name] if step_down else [chosen.name]
    names += [other for model in [*names] for other in _model(config, model).fallback]
    found = [_route(config, each) for each in dict.fromkeys(names)]
    if sensitive:
        found = [route for route in found if route.endpoint.sensitive] or _for_sensitive(config)
    if not found:
        text = f"{chosen.name} may not see what is sensitive, and no model may: mark an endpoint 'sensitive = true'"
        raise NoModelAllowed(text, model=chosen.name)
    return sorted(found, key=is_down)


def _for_sensitive(config: LlmConfig) -> list[Route]:
    """Return any model that may see what is sensitive: who asked for another may not have it."""
    routes = [_route(config, model.name) for model in config.models]
    return [route for route in routes if route.endpoint.sensitive]


def _route(config: LlmConfig, name: str) -> Route:
    model = _model(config, name)
    return Route(model, config.endpoint(model.endpoint))


def _model(config: LlmConfig, name: str) -> ModelTable:
    return next(model for model in config.models if model.name == name)


def parts_of(routes: list[Route]) -> Iterator[tuple[Route, float]]:
    """Yield each route with the part of the time that is then left which it may take: the last one has all of it."""
    for left, route in zip(range(len(routes), 0, -1), routes, strict=True):
        yield route, 2.0 / (left + 1)
