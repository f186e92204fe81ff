"""The model in the box: a small language model as one more actor, so that a fleet can run with no endpoint at all.

It only says where the model is to be asked. Asking it is no message: agents speak to it as to any endpoint.
"""

from typing import Annotated, Any, ClassVar, Final

import msgspec
from anyio import to_thread

from callboard.names import LOCAL_MODEL

from ..actor import Actor
from ..context import Context
from ..handlers import receive
from ..message import Message
from ..spec import ActorSpec, Health
from .catalogue import model_named
from .engine import Engine, Shape
from .errors import ModelServerFailed
from .folder import require

HEALTH: Final = Health(silent_after=15.0, start_within=120.0)
"""The server holds the interpreter while it loads: half a second, and several on a machine that is busy."""
_WEIGHTS: Final = "model.gguf"


class LocalModelOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which model, and how much it may take on."""

    model: str = "smollm2"
    """A language model of the catalogue, fetched before: ``callboard model fetch smollm2``."""
    context: Annotated[int, msgspec.Meta(ge=1_024, le=1 << 20)] = 16_384
    """Tokens of all slots together; each has its share of them for prompt and answer."""
    slots: Annotated[int, msgspec.Meta(ge=1, le=64)] = 4
    """Requests that are answered at once; more wait."""
    threads: Annotated[int, msgspec.Meta(ge=0, le=256)] = 1
    """Threads that compute; 0: as many as there are cores. They wait for each other at every step: where something else
    wants the cores too, two were measured to be twenty times slower than one, and where nothing does, no faster."""


class WhereModel(Message):
    """Ask where the model is."""


class ModelAt(Message):
    """Where the model is to be asked, as long as this life of its actor lasts."""

    url: str
    """The base of an API of OpenAI's form."""
    key: str
    model: str
    """As the endpoint calls it."""
    context: int
    """Tokens that one request has for prompt and answer."""

    def __repr__(self) -> str:
        return f"ModelAt(url={self.url!r}, model={self.model!r}, context={self.context})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Show the same: the key is in no text."""
        return [("url", self.url), ("model", self.model), ("context", self.context)]


class LocalModel(Actor):
    """Runs a model in its own process from its start to its end."""

    name: ClassVar[str] = LOCAL_MODEL
    Options = LocalModelOptions
    options: LocalModelOptions

    def __init__(self) -> None:
        self._engine: Engine | None = None

    async def started(self, ctx: Context) -> None:  # noqa: ARG002 - as the base class says
        """Load the model. Raises ModelAbsent, ModelServerAbsent, ModelServerFailed."""
        self._engine = await to_thread.run_sync(_load, self.options)

    async def stopping(self, ctx: Context) -> None:  # noqa: ARG002 - the same
        """End the server, whoever it is answering."""
        engine, self._engine = self._engine, None
        if engine is not None:
            await to_thread.run_sync(engine.end)

    @receive
    async def where(self, message: WhereModel, ctx: Context) -> ModelAt:  # noqa: ARG002 - what a handler looks like
        """Say where the model is."""
        if self._engine is None:
            raise ModelServerFailed("the model is not being served")
        share = self.options.context // self.options.slots
        return ModelAt(url=self._engine.url, key=self._engine.key, model=self.options.model, context=share)


def spec_of_local_model(options: LocalModelOptions | None = None, *, cell: str = LOCAL_MODEL) -> ActorSpec:
    """Return the spec of the actor in a cell of its own, with the patience that loading needs."""
    return ActorSpec(
        actor=LocalModel, name=LOCAL_MODEL, cell=cell, health=HEALTH, options=options or LocalModelOptions()
    )


def _load(options: LocalModelOptions) -> Engine:
    """Checking the files also reads them once, so that the disk does not slow down what holds the interpreter."""
    weights = require(model_named(options.model)) / _WEIGHTS
    return Engine(weights, name=options.model, shape=Shape(
        context=options.context, slots=options.slots, threads=options.threads,
    ))  # fmt: skip
