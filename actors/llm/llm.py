"""``ctx.llm``: how an agent asks a model.

The pipe, in order: the answer that is at hand; else the question to oneself; else the office's cache; else a model,
its tools, the check of what it said, one repair; then the ledger, and the answer is kept.
"""

import secrets
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

import anyio
import msgspec

from callboard.ids import new_id
from callboard.store.office import Cached, Entry

from ..errors import PermissionDenied
from .answers import Answer
from .asker import Asker
from .caller import Called, Caller
from .errors import BadAnswer, BadModelRequest, ModelStalled, NoModels, WrongAnswer
from .job import Job
from .minds import Minds
from .options import Options, changed
from .prompts.fence import fenced
from .prompts.prompt import Prompt
from .prompts.prompt_file import inline
from .request import AnswerForm, Request, ToolCall, Turn
from .telling import Telling
from .tools import RESULT_MOST, arguments_of
from .typed import Misfit, form_of, read_answer, repair
from .wish import Wish

T = TypeVar("T")
Read = Callable[[str], Any]
RAW_MOST: Final = 64 * 1024
SHOWN_MOST: Final = 4_000
CACHED_MOST: Final = 256 * 1024
"""Bytes of an answer that is kept: one has to fit into a message."""
CALLS_MOST: Final = 16
"""Tools that a model may have run in one turn."""
_DEFAULT: Final = Options()


class Llm:
    """Of one message in hand."""

    __slots__ = ("_asker", "_minds", "_options")

    def __init__(self, minds: Minds, asker: Asker, options: Options = _DEFAULT) -> None:
        self._minds, self._asker, self._options = minds, asker, options

    def using(self, **changes: Any) -> "Llm":
        """Return the same with other options: ``model most temperature seed timeout idle sensitive cache tenant …``.

        They are those of :class:`~.options.Options`, which says what each means. Raises BadModelRequest.
        """
        return Llm(self._minds, self._asker, changed(self._options, changes))

    async def ask(self, kind: type[T], prompt: Prompt | str, /, **inputs: object) -> T:
        """Return what a model answers to `prompt` with these inputs, as a `kind`.

        The type's schema goes along, its ``__post_init__`` and the option `check` say what a schema cannot; an answer
        that does not fit goes back once. The wait is declared. In all it takes the option `timeout`, and not longer
        than the message in hand has.

        Args:
            kind: a struct, or any type that msgspec can decode.
            prompt: a :class:`~.prompts.prompt.Prompt`, or its text with ``{{places}}``: then no input is trusted.
            inputs: its values by name; what is no text is given as JSON.

        Raises:
            WrongAnswer: what came does not fit, also after one repair; ``raw`` has it.
            BudgetSpent, CallTooLarge: it may not cost so much; nothing was asked.
            ModelDown, ModelBusy, ModelStalled, BadAnswer, AnswerCut: no good answer in time.
            NoModels, UnknownModelName, NoModelAllowed, BadModelKey, BadModelRequest, ContextTooLong, BadPrompt,
            OfficeAway: as named.

        """
        wish = self._wish(prompt, inputs, form_of(kind))
        answer: T = await self._stepped(kind, wish, lambda text: self._checked(read_answer(kind, text)))
        return answer

    async def text(self, prompt: Prompt | str, /, **inputs: object) -> str:
        """Return what a model answers, as text; otherwise as :meth:`ask`."""
        wish = self._wish(prompt, inputs, None)
        answer: str = await self._stepped(str, wish, self._checked)
        return answer

    def stream(self, prompt: Prompt | str, /, **inputs: object) -> Telling:
        """Return an answer piece by piece: ``async with ctx.llm.stream(...) as pieces: async for text in pieces``.

        It is settled when the block ends; one that is left early counts with all that it could have cost. Nothing of
        it is cached, and each model is tried once. Raises as :meth:`ask`, when the block begins and at each piece, and
        BadModelRequest for the options `step`, `check` and `tools`, which want a whole answer.
        """
        options = self._options
        if options.step or options.check or options.tools:
            raise BadModelRequest("a stream takes no step, check or tools: ask for the whole")
        wish = self._wish(prompt, inputs, None)
        if wish.tainted:
            self._asker.doubt(0)
        return Telling(self._minds, self._asker, self._job(wish), wish.request())

    # --- the wish

    def _wish(self, prompt: Prompt | str, inputs: dict[str, object], form: AnswerForm | None) -> Wish:
        if not self._minds.config.on:
            raise NoModels("this fleet has no model to ask: give it [llm] url and model, or local = true")
        found = inline(prompt) if isinstance(prompt, str) else prompt
        return Wish(prompt=found, inputs=inputs, options=self._options, form=form)

    def _job(self, wish: Wish) -> Job:
        asker, options, config = self._asker, self._options, self._minds.config
        until = self._minds.clock.monotonic() + (options.timeout or config.timeout)
        return Job(
            actor=asker.name, message=asker.message, tree=asker.tree, tenant=options.tenant, model=options.model,
            sensitive=options.sensitive or asker.private, urgent=options.urgent, prompt=wish.prompt.name,
            version=str(wish.prompt.version),
            until=min(until, asker.until) if asker.until else until, idle=options.idle or config.idle,
        )  # fmt: skip

    def _checked(self, answer: Any) -> Any:
        if self._options.check is not None:
            try:
                self._options.check(answer)
            except ValueError as error:
                raise Misfit("$", str(error)) from error
        return answer

    async def _stepped(self, kind: Any, wish: Wish, read: Read) -> Any:
        if not self._options.step:
            return await self._answered(wish, read)
        if wish.tainted:
            self._asker.doubt(0)  # also where an earlier try has asked

        async def step(_key: bytes) -> Any:
            return await self._answered(wish, read)

        model = self._minds.config.model(self._options.model)
        key = wish.key(actor=self._asker.name, model=model, memory=0)
        answer = await self._asker.step(self._options.step, step, key, returns=kind)
        for each in self._options.tools:
            self._asker.doubt(each.gives)  # nobody knows which of them an earlier try had run
        return answer

    # --- the answer

    async def _answered(self, wish: Wish, read: Read) -> Any:
        if wish.tainted:
            self._asker.doubt(0)
        job, minds = self._job(wish), self._minds
        cached = self._may_be_cached()
        if cached and (terms := minds.known_terms(job.actor)) is not None:
            key = self._key(wish, job, terms.memory)
            if (hit := minds.answers.get(key, minds.clock.now())) is not None:
                with suppress(Misfit):  # it was right for another check: asked anew
                    return self._given_again(job, key, hit, read)
                minds.answers.drop((key,))
        model = job.model or minds.config.default
        left = job.until - minds.clock.monotonic()
        with self._asker.waiting(f"model {model}", max(left, 0.001)):
            try:
                with anyio.fail_after(max(left, 0.0)):
                    return await (self._once(wish, job, read) if cached else self._fresh(wish, job, read))
            except TimeoutError:
                text = f"{job.actor} had no answer of {model} in its time"
                raise ModelStalled(text, model=model, cost="unknown") from None

    def _may_be_cached(self) -> bool:
        """Return whether an answer may be given again: not by chance, nor where something may have been done for it."""
        options = self._options
        kept = options.cache and self._minds.config.cache_for > 0
        return kept and not options.temperature and not options.tools

    def _key(self, wish: Wish, job: Job, memory: int) -> bytes:
        model = self._minds.config.model(job.model)
        return wish.key(actor=job.actor, model=model, memory=memory)

    async def _once(self, wish: Wish, job: Job, read: Read) -> Any:
        """Ask, unless it was asked before, or is being asked."""
        minds = self._minds
        terms = await minds.terms(job.actor, until=job.until)
        key, job = self._key(wish, job, terms.memory), msgspec.structs.replace(job, memory=terms.memory)
        async with minds.answers.alone(key, shares=self._options.check is None):
            if (hit := await minds.find(job.actor, key, until=job.until)) is not None:
                try:
                    return self._given_again(job, key, hit, read)
                except Misfit:
                    minds.answers.drop((key,))  # what was right for another check, or another version of the type
            return await self._fresh(wish, job, read, key=key)

    def _given_again(self, job: Job, key: bytes, hit: Answer, read: Read) -> Any:
        answer = read(hit.body.decode())
        model = job.model or self._minds.config.default
        self._minds.record(_entry_of_hit(job, key, model, at=self._minds.clock.now()))
        return answer

    async def _fresh(self, wish: Wish, job: Job, read: Read, *, key: bytes = b"") -> Any:
        """Ask a model, and once more if what it says does not fit."""
        caller = await self._minds.caller(job)
        called, request = await self._talk(caller, job, wish.request())
        try:
            answer = self._read(called, read)
        except Misfit as misfit:
            self._record_wrong(called)
            called, _ = await self._talk(caller, job, repair(request, called.reply.text, misfit))
            answer = self._read_repaired(called, read)
            self._keep(job, called, key=key, how="repaired")
        else:
            self._keep(job, called, key=key, how="ok")
        return answer

    def _read_repaired(self, called: Called, read: Read) -> Any:
        try:
            return self._read(called, read)
        except Misfit as misfit:
            self._record_wrong(called)
            raw = called.reply.text
            text = f"{called.model} gave no answer that fits, also when it was told what is wrong: {misfit}"
            raise WrongAnswer(text, model=called.model, raw=raw[:SHOWN_MOST], call=called.entry.id) from misfit

    def _read(self, called: Called, read: Read) -> Any:
        """Return the answer; whatever else a check raises, the call is in the ledger."""
        try:
            return read(called.reply.text)
        except Misfit:
            raise
        except BaseException:
            self._minds.record(msgspec.structs.replace(called.entry, how="failed", why="check-failed"))
            raise

    def _record_wrong(self, called: Called) -> None:
        raw = called.reply.text[:RAW_MOST]
        self._minds.record(msgspec.structs.replace(called.entry, how="wrong", why="wrong-answer", raw=raw))

    def _keep(self, job: Job, called: Called, *, key: bytes, how: str) -> None:
        """Write the call down, and keep its answer if it is that of the model that was asked for."""
        minds, now = self._minds, self._minds.clock.now()
        entry = msgspec.structs.replace(called.entry, how=how)
        body, expires = called.reply.text.encode(errors="replace"), now + minds.config.cache_for
        terms = minds.known_terms(job.actor)
        other = called.model != (job.model or minds.config.default) or terms is None or terms.memory != job.memory
        if not key or other or len(body) > CACHED_MOST:
            minds.record(entry)
            return
        minds.answers.put(key, Answer(body, expires))
        kept = Cached(key=key, actor=job.actor, tenant=job.tenant, body=body, made=now, expires=expires)
        minds.record(msgspec.structs.replace(entry, key=key), kept)

    # --- tools

    async def _talk(self, caller: Caller, job: Job, request: Request) -> tuple[Called, Request]:
        """Ask until the model answers; what it wants done meanwhile is done, if it may be."""
        for _ in range(self._options.rounds + 1):
            called = await caller.call(job, request)
            if not called.reply.calls:
                return called, request
            self._minds.record(called.entry)
            wanted = called.reply.calls[:CALLS_MOST]
            said = Turn(role="assistant", content=called.reply.text, calls=wanted)
            results = [Turn(role="tool", answers=each.id, content=await self._run(each)) for each in wanted]
            request = msgspec.structs.replace(request, turns=(*request.turns, said, *results))
        text = f"{called.model} had tools run {self._options.rounds} times and did not come to an answer"
        raise BadAnswer(text, model=called.model, cost="unknown")

    async def _run(self, call: ToolCall) -> str:
        """Return what a tool says, or why it was not run, for the model to read."""
        asker = self._asker
        chosen = next((tool for tool in self._options.tools if tool.name == call.name), None)
        if chosen is None:
            return f"there is no tool {call.name[:80]!r}: {', '.join(tool.name for tool in self._options.tools)}"
        if asker.trust() < chosen.trust:
            why = f"it asks for trust {chosen.trust}, and the message in hand has {asker.trust()}"
            asker.refused(chosen.name, why)
            return f"refused: {why}"
        try:
            arguments = arguments_of(chosen, call.arguments)
            asker.permit(chosen.name, chosen.fn, arguments)
        except PermissionDenied as error:
            return f"refused: {error.text}"
        except ValueError as error:
            return str(error)
        try:
            result = await asker.act(chosen.name, chosen.fn, arguments)
            text = msgspec.json.encode(result).decode()[:RESULT_MOST]
        except PermissionDenied as error:  # what it tried itself; all else that it raises is the handler's failure
            text = f"refused: {error.text}"
        asker.doubt(chosen.gives)
        return fenced("result", text, secrets.token_hex(8))


def _entry_of_hit(job: Job, key: bytes, model: str, *, at: float) -> Entry:
    return Entry(
        id=new_id(), at=at, actor=job.actor, message=job.message, tree=job.tree, tenant=job.tenant, asked=model,
        prompt=job.prompt, version=job.version, cache="hit", key=key,
    )  # fmt: skip
