"""What is wanted of a model, before anybody is asked: the prompt with its inputs, and the question's key."""

import hashlib
import secrets
from collections.abc import Mapping
from typing import Any

import msgspec

from .options import Options
from .prompts.prompt import Prompt, canonical, render
from .request import AnswerForm, Request
from .tables import ModelTable
from .tools import forms_of

_encode = msgspec.msgpack.Encoder(order="deterministic").encode


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt with its inputs, and how it is to be answered."""

    prompt: Prompt
    inputs: Mapping[str, object]
    options: Options
    form: AnswerForm | None

    @property
    def tainted(self) -> bool:
        """Whether an input comes from outside."""
        return any(self.prompt.inputs.get(name, "untrusted") == "untrusted" for name in self.inputs)

    def key(self, *, actor: str, model: ModelTable | None, memory: int) -> bytes:
        """Return by what the same question is known: all that its answer depends on."""
        options = self.options
        whom = None if model is None else (model.name, model.model, model.endpoint, model.send)
        parts: tuple[Any, ...] = (
            actor, options.tenant, memory, whom, canonical(self.prompt, self.inputs), self.form,
            forms_of(options.tools), options.most, options.temperature, options.seed, options.send,
        )  # fmt: skip
        return hashlib.sha256(_encode(parts)).digest()

    def request(self) -> Request:
        """Return the request, its untrusted inputs between marks that nobody can have guessed."""
        options = self.options
        turns = render(self.prompt, self.inputs, mark=secrets.token_hex(8))
        return Request(
            model="", turns=turns, most=options.most, temperature=options.temperature, seed=options.seed,
            form=self.form, tools=forms_of(options.tools), extra=options.send,
        )  # fmt: skip
