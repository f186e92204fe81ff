"""How one question comes to its answer.

In order: the answer that is at hand; else wait while the same question is asked; else the office's cache; else a
conversation with a model, and what it said is written down and kept.
"""

from contextlib import suppress
from typing import Any, Final

import anyio
import msgspec

from callboard.ids import new_id
from callboard.store.office import Cached, Entry

from .answers import Answer
from .asker import Asker
from .conversation import Conversation, Fitting, Read
from .job import WAIT_GRACE, Job, late
from .minds import Minds
from .question import Question
from .toolbox import Toolbox
from .typed import Misfit

CACHED_MOST: Final = 256 * 1024
"""Bytes of an answer that is kept: one has to fit into a message."""


class Answering:
    """Of one question, for one handler."""

    def __init__(self, minds: Minds, asker: Asker, question: Question, job: Job, read: Read) -> None:
        """`read` makes the answer of a text; it raises Misfit."""
        self._minds, self._asker, self._question, self._job, self._read = minds, asker, question, job, read

    async def answer(self) -> Any:
        """Return the answer, in the time of the job; the wait is declared. Raises as :meth:`~.llm.Llm.ask`."""
        job, minds = self._job, self._minds
        cached = self._may_be_cached()
        if cached and (hit := self._at_hand()) is not None:
            with suppress(Misfit):  # it was right for another check: asked anew
                return self._given_again(*hit)
            minds.answers.drop((hit[0],))
        left = job.end - minds.clock.monotonic()
        with self._asker.waiting(f"model {job.model}", max(left, 0.0) + WAIT_GRACE):
            try:
                with anyio.fail_after(max(left, 0.0)):
                    return await (self._once() if cached else self._fresh())
            except TimeoutError:
                raise late(job) from None

    def _may_be_cached(self) -> bool:
        """Return whether an answer may be given again: not by chance, nor where something may have been done for it."""
        options = self._question.options
        kept = options.cache and self._minds.config.cache_for > 0
        return kept and not options.temperature and not options.tools

    def _at_hand(self) -> tuple[bytes, Answer] | None:
        minds = self._minds
        if (terms := minds.known_terms(self._job.actor)) is None:
            return None
        key = self._key(terms.memory)
        hit = minds.answers.get(key, minds.clock.now())
        return None if hit is None else (key, hit)

    def _key(self, memory: int) -> bytes:
        model = self._minds.config.model(self._job.model)
        return self._question.key(actor=self._job.actor, model=model, memory=memory)

    async def _once(self) -> Any:
        """Ask, unless it was asked before, or is being asked."""
        minds, job = self._minds, self._job
        memory = (await minds.terms(job.actor, until=job.until)).memory
        key, self._job = self._key(memory), msgspec.structs.replace(job, memory=memory)
        async with minds.answers.alone(key, shares=self._question.options.check is None):
            if (hit := await minds.find(job.actor, key, until=job.until)) is not None:
                try:
                    return self._given_again(key, hit)
                except Misfit:
                    minds.answers.drop((key,))  # what was right for another check, or another version of the type
            return await self._fresh(key)

    def _given_again(self, key: bytes, hit: Answer) -> Any:
        answer = self._read(hit.body.decode())
        job = self._job
        entry = Entry(
            id=new_id(), at=self._minds.clock.now(), actor=job.actor, message=job.message, tree=job.tree,
            tenant=job.tenant, asked=job.model, prompt=job.prompt, version=job.version, cache="hit", key=key,
        )  # fmt: skip
        self._minds.record(entry)
        return answer

    async def _fresh(self, key: bytes = b"") -> Any:
        """Have a conversation with a model; without a key what it says is not kept."""
        minds, options = self._minds, self._question.options
        conversation = Conversation(
            minds.caller, self._job, read=self._read, toolbox=Toolbox(self._asker, options.tools, self._job.progress),
            rounds=options.rounds,
            record=minds.record,
        )  # fmt: skip
        found = await conversation.answer(self._question.request())
        self._keep(found, key)
        return found.answer

    def _keep(self, found: Fitting, key: bytes) -> None:
        """Write the call down, and keep its answer if it is that of the model that was asked for."""
        minds, job, now = self._minds, self._job, self._minds.clock.now()
        entry = msgspec.structs.replace(found.completion.entry, how=found.how)
        body = found.completion.reply.text.encode(errors="replace")
        terms = minds.known_terms(job.actor)
        not_to_keep = found.completion.model != job.model or terms is None or terms.memory != job.memory
        if not key or not_to_keep or len(body) > CACHED_MOST:
            minds.record(entry)
            return
        expires = now + minds.config.cache_for
        minds.answers.put(key, Answer(body, expires))
        kept = Cached(key=key, actor=job.actor, tenant=job.tenant, body=body, made=now, expires=expires)
        minds.record(msgspec.structs.replace(entry, key=key), kept)
