"""What all actors of one cell share when they ask models: clients, purses, paces, breakers, answers, and the office.

Made with each cell, and empty until somebody asks a model. Its errors while it works in the background are events.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio
import msgspec
from anyio.abc import TaskGroup

from callboard.bus import Endpoint
from callboard.clock import Clock
from callboard.errors import CallboardError
from callboard.names import OFFICE
from callboard.store.office import Cached, Entry

from ..office import KEY_BEGINS, Price, Report, Terms
from ..speaking import Speaker
from .answers import Answer, Answers
from .calls.breaker import Breaker
from .calls.caller import Caller, CallServices
from .calls.clients import Clients
from .calls.pace import Pace
from .cell_voice import CellVoice
from .config import LlmConfig
from .errors import OfficeAway
from .office_client import OfficeClient
from .purse.purse import Purse
from .purse.purses import Purses
from .reporter import Reporter

if TYPE_CHECKING:
    from .job import Job

ROLLED_AFTER: Final = 0.5
"""Seconds after which an office of another fleet file is asked again."""
FLUSH_WITHIN: Final = 5.0
"""Seconds in which the office is told all first, before it is asked to judge or to forget."""
CLOSE_WITHIN: Final = 0.4
"""Seconds to close connections at the end of a cell."""
KEYS_MOST: Final = 100_000
"""Questions of one actor that a cell knows to have been answered."""


class Minds:
    """Of one cell."""

    def __init__(
        self, config: LlmConfig, endpoint: Endpoint, *, epoch: int, clock: Clock, home: Path,
        report: Callable[[str, str, str], None], tasks: TaskGroup,
    ) -> None:  # fmt: skip
        """`home` is the folder that key files are seen from; `report` records an event: kind, subject, text."""
        self.config, self.clock, self.answers = config, clock, Answers()
        self._fences = endpoint.fences
        self._names = frozenset(model.name for model in config.models)
        self._epoch, self._report, self._tasks = epoch, report, tasks
        voice = CellVoice(Speaker(endpoint), clock=clock)
        self._office = OfficeClient(voice, epoch=epoch, clock=clock)
        self._clients = Clients(voice, clock=clock, home=home)
        self._purses = Purses(self._office, clock=clock, tasks=tasks)
        self._reporter = Reporter(
            self._tell, epoch=epoch, clock=clock, idle=self._purses.idle,
            refused=lambda text: report("ledger-refused", "office", text),
        )  # fmt: skip
        self._terms: dict[str, Terms] = {}
        self._keys: dict[str, set[bytes] | None] = {}
        """How the keys begin of what each actor was answered; None: the office is asked."""
        self._paces: dict[str, Pace] = {}
        self._breakers: dict[str, Breaker] = {}
        self._works = False
        self.caller = Caller(
            CallServices(
                config=config, clock=clock, clients=self._clients, terms=self._call_terms, pace=self._pace,
                breaker=self._breaker, record=self._reporter.put, pressed=self._pressed, report=report,
            )
        )  # fmt: skip
        """Makes the calls of all actors here."""

    # --- for calls

    async def terms(self, actor: str, *, until: float) -> Terms:
        """Return on which terms an actor asks; raises OfficeAway."""
        if (terms := self.known_terms(actor)) is None:
            self._begin()
            terms = self._terms[actor] = await self._office.terms(actor, until=until)
            self._keys[actor] = None if terms.keys is None else set(terms.keys)
        return terms

    def known_terms(self, actor: str) -> Terms | None:
        """Return them if known. Those of another life of the office are forgotten: it may have other budgets."""
        terms = self._terms.get(actor)
        if terms is not None and terms.life < self._fences.get(OFFICE, 0):
            self._forget_terms()
            return None
        return terms

    async def _terms_of_our_file(self, job: "Job") -> Terms:
        """Return the terms of an office that knows our models: while a reload goes on it may be of the other file."""
        while not (terms := await self.terms(job.actor, until=job.until)).prices.keys() >= self._names:
            if self.clock.monotonic() + ROLLED_AFTER >= job.until:
                text = f"the office does not know all of {', '.join(sorted(self._names))}: the fleet file has changed"
                raise OfficeAway(text, actor=OFFICE)
            await self.clock.sleep(ROLLED_AFTER)
            self._forget_terms()
        return terms

    def _forget_terms(self) -> None:
        self._terms.clear()
        self._purses.end_leases()

    async def _tell(self, report: Report) -> None:
        life = (await self._office.report(report)).life
        if any(terms.life < life for terms in self._terms.values()):  # we were not told that it started anew
            self._forget_terms()

    def _begin(self) -> None:
        if not self._works:
            self._works = True
            self._tasks.start_soon(self._reporter.run)

    async def _call_terms(self, job: "Job") -> tuple[Mapping[str, Price], Purse | None]:
        """Return what models cost, and the purse that pays; waits while too much is still to be written down."""
        terms = await self._terms_of_our_file(job)
        await self._reporter.room(within=job.until - self.clock.monotonic())
        return terms.prices, self._purses.of(job, terms)

    def record(self, entry: Entry, answer: Cached | None = None) -> None:
        """Have an entry written into the ledger, and an answer kept."""
        if answer is not None and (known := self._keys.get(answer.actor)) is not None:
            known.add(answer.key[:KEY_BEGINS])
            if len(known) > KEYS_MOST:
                self._keys[answer.actor] = None  # too many to know: from now on the office is asked
        self._reporter.put(entry, answer)

    async def find(self, actor: str, key: bytes, *, until: float) -> Answer | None:
        """Return what was answered to a question before, also in an earlier life of this cell.

        An actor lives in one cell, so what was answered is known here: the office is asked for no other.
        """
        if (found := self.answers.get(key, self.clock.now())) is not None:
            return found
        if (known := self._keys.get(actor)) is not None and key[:KEY_BEGINS] not in known:
            return None
        kept = await self._office.answer(key, until=until)
        if kept.body is None:
            return None
        answer = Answer(kept.body, kept.expires)
        self.answers.put(key, answer)
        return answer

    def _pace(self, model: str) -> Pace:
        if (pace := self._paces.get(model)) is None:
            limited = self.config.limited(model)
            pace = self._paces[model] = Pace(
                model, partial(self._office.rate, model), clock=self.clock, limited=limited
            )
        return pace

    def _breaker(self, endpoint: str) -> Breaker:
        return self._breakers.setdefault(endpoint, Breaker())

    def _pressed(self, model: str, wait: float) -> None:
        self._paces[model].rest(wait)
        self._report("model-busy", model, f"its endpoint says that it is asked too much; it rests for {wait:.1f} s")
        self._tasks.start_soon(self._press, model, wait)

    async def _press(self, model: str, wait: float) -> None:
        try:
            await self._office.press(model, wait)
        except CallboardError as error:  # our own rest holds all the same
            self._report("office-unheard", model, error.text)

    # --- what comes from elsewhere

    async def learn_outcome(self, message: str, *, good: bool) -> None:
        """Take in how a message turned out: what was answered for one that failed is not given again."""
        await self._flushed()
        judged = await self._office.judge(message, good=good)
        self.answers.drop(judged.keys)

    async def forget(self, actor: str, about: str = "") -> tuple[str, ...]:
        """Forget answers that name somebody, or all of an actor that rest on its memory; return where they were."""
        await self._flushed()
        self._drop_answers(actor)
        found = await self._office.forget(actor, about)
        self._drop_answers(actor)  # those that came meanwhile, too
        if (terms := self._terms.get(actor)) is not None:
            self._terms[actor] = msgspec.structs.replace(terms, memory=found.memory)
        return found.places

    def _drop_answers(self, actor: str) -> None:
        self.answers.clear()
        self._reporter.drop_answers(actor)

    async def _flushed(self) -> None:
        """Let the office know first of what people speak about, if it can be reached."""
        if self._works:
            with anyio.move_on_after(FLUSH_WITHIN):
                await self._reporter.flushed()

    # --- the end

    async def leave(self, *, within: float) -> None:
        """Tell the office what it does not know yet, and give back what is left, in so many seconds."""
        if self._works:
            with anyio.move_on_after(within, shield=True):
                back = self._purses.unheld()
                with anyio.move_on_after(within / 2):
                    await self._reporter.flushed()
                if free := self._reporter.free(back):
                    await self._office.report(Report(epoch=self._epoch, back=tuple(free)))

    async def aclose(self) -> None:
        """Close the connections."""
        with anyio.move_on_after(CLOSE_WITHIN, shield=True):
            await self._clients.aclose()
