"""What is said between an agent and a model until there is an answer that fits: tools are run, and one repair is asked.

Each call is in the ledger, whatever becomes of the next one.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from callboard.store.office import Entry, How

from .calls.attempt import Completion
from .calls.caller import Caller
from .errors import BadAnswer, WrongAnswer
from .job import Job
from .request import Request, Turn
from .toolbox import Toolbox
from .typed import Misfit, repair

Read = Callable[[str], Any]
"""Makes an answer of a text; raises Misfit."""
KEPT_MOST: Final = 64 * 1024
"""Characters of a wrong answer that the ledger keeps."""
SHOWN_MOST: Final = 4_000
"""Characters of one that its error carries."""
CALLS_MOST: Final = 16
"""Tools that a model may have run in one turn."""


class Fitting(msgspec.Struct, frozen=True):
    """An answer that fits, and the completion that it was read from, which is not in the ledger yet."""

    answer: Any
    completion: Completion
    how: How


class Conversation:
    """With one model after the other, as the caller has them."""

    def __init__(
        self, caller: Caller, job: Job, *, read: Read, toolbox: Toolbox, rounds: int, record: Callable[[Entry], None]
    ) -> None:
        """`rounds`: how often tools may be run before there must be an answer."""
        self._caller, self._job, self._read_text = caller, job, read
        self._toolbox, self._rounds, self._record = toolbox, rounds, record

    async def answer(self, request: Request) -> Fitting:
        """Return an answer that fits. Raises WrongAnswer, BadAnswer, and as :meth:`~.caller.Caller.call`."""
        completion, request = await self._talk(request)
        try:
            return Fitting(self._read(completion), completion, "ok")
        except Misfit as misfit:
            self._record_wrong(completion)
            again = repair(request, completion.reply.text, misfit)
        completion, _ = await self._talk(again)
        return Fitting(self._read_repaired(completion), completion, "repaired")

    async def _talk(self, request: Request) -> tuple[Completion, Request]:
        """Ask until the model answers; what it wants done meanwhile is done, if it may be."""
        for left in range(self._rounds, -1, -1):
            completion = await self._caller.call(self._job, request)
            if not completion.reply.calls:
                return completion, request
            self._record(completion.entry)
            if not left:
                break
            wanted = completion.reply.calls[:CALLS_MOST]
            said = Turn(role="assistant", content=completion.reply.text, calls=wanted)
            results = [Turn(role="tool", answers=each.id, content=await self._toolbox.run(each)) for each in wanted]
            request = msgspec.structs.replace(request, turns=(*request.turns, said, *results))
        text = f"{completion.model} had tools run {self._rounds} times and did not come to an answer"
        raise BadAnswer(text, model=completion.model, cost="unknown")

    def _read(self, completion: Completion) -> Any:
        """Return the answer; whatever else a check raises, the call is in the ledger."""
        try:
            return self._read_text(completion.reply.text)
        except Misfit:
            raise
        except BaseException:
            self._record(msgspec.structs.replace(completion.entry, how="failed", why="check-failed"))
            raise

    def _read_repaired(self, completion: Completion) -> Any:
        try:
            return self._read(completion)
        except Misfit as misfit:
            self._record_wrong(completion)
            raw = completion.reply.text[:SHOWN_MOST]
            text = f"{completion.model} gave no answer that fits, also when it was told what is wrong: {misfit}"
            raise WrongAnswer(text, model=completion.model, raw=raw, call=completion.entry.id) from misfit

    def _record_wrong(self, completion: Completion) -> None:
        raw = completion.reply.text[:KEPT_MOST]
        self._record(msgspec.structs.replace(completion.entry, how="wrong", why="wrong-answer", raw=raw))
