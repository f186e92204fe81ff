"""The office: the one actor that keeps what a fleet may spend on models, what it did spend, and what was answered.

Cells ask it for leases and tell it what they did; each is heard for itself alone. The daemon asks it what people want
to know. Its file is the truth: what is in memory here can be made again.
"""

import math
from typing import Final

import msgspec

from callboard.actors import Actor, Context, PermissionDenied, receive
from callboard.actors.llm import LlmConfig, OfficeAway, in_dollars
from callboard.actors.office import (
    KEY_BEGINS,
    Answered,
    AnswersForgotten,
    AskAnswer,
    AskTerms,
    ForgetAnswers,
    Judge,
    Judged,
    Money,
    Pressed,
    Rate,
    Report,
    Reported,
    TakeMoney,
    TakeRate,
    Terms,
)
from callboard.errors import CallboardError
from callboard.names import OFFICE
from callboard.store.office import Crossed, Leased, LeaseRequest, Refused, Window

from ..hearing import hear_daemon
from .books import costs_of
from .messages import Costs, ShowCosts
from .naming import in_words
from .rates import Limits
from .state import OfficeState
from .windows import call_limit, standing_windows, windows_of

KEYS_MOST: Final = 20_000
"""Answers of one actor that its cell knows of by their keys; where there are more it asks for each."""
TOLD_MOST: Final = 10_000
"""Spent windows that are remembered as said; from then on some are said twice."""
_LINES: Final = {"warn": "budget-warns", "step_down": "budget-steps-down", "queue": "budget-queues"}


class Office(Actor):
    """Keep budgets, rates, answers and the ledger of a fleet."""

    name = OFFICE
    concurrency = 64
    answers_with = (CallboardError,)
    Options = LlmConfig
    options: OfficeState

    async def started(self, ctx: Context) -> None:  # noqa: ARG002 - a hook takes it
        """Open the file: one that is damaged must be seen now, not by the first who wants money."""
        state = self.options
        file = await state.file()
        await file.declare(standing_windows(state.config.budgets, now=state.clock.now()))

    @receive
    async def terms(self, message: AskTerms, ctx: Context) -> Terms:
        """Say on which terms an actor asks models."""
        state = self.options
        await self._speaker(ctx, message.actor)
        budgets, file = state.config.budgets, await state.file()
        keys = await file.keys(message.actor, KEYS_MOST)
        return Terms(
            life=state.life, prices=state.prices, metered=bool(budgets),
            exact=any(table.scope == "tree" for table in budgets),
            memory=await file.memory_of(message.actor),
            keys=tuple(key[:KEY_BEGINS] for key in keys) if len(keys) < KEYS_MOST else None,
        )  # fmt: skip

    @receive
    async def money(self, message: TakeMoney, ctx: Context) -> Money:
        """Lease money, if every budget has so much."""
        cell = await self._speaker(ctx, message.actor, message.epoch)
        now, budgets = self.options.clock.now(), self.options.config.budgets
        if (most := call_limit(budgets)) is not None and message.least > most:
            return Money(budget="the budget of one call", limit=most)
        windows = windows_of(budgets, actor=message.actor, tree=message.tree, now=now)
        want = message.want if most is None else min(message.want, most)
        request = LeaseRequest(
            cell=cell, epoch=message.epoch, actor=message.actor, least=message.least, want=want, windows=windows,
            id=message.id, urgent=message.urgent, back=message.back,
        )  # fmt: skip
        found = await (await self.options.file()).lease(request)
        self._say_crossed(found.crossed, windows)
        return _leased(found, now) if isinstance(found, Leased) else self._refused(found, windows, now)

    def _refused(self, found: Refused, windows: tuple[Window, ...], now: float) -> Money:
        if not found.waits and not found.aside:
            self._say_spent(found)
        wait = max(0.0, found.end - now) if found.end < math.inf else 0.0
        queue = any(window.queue for window in windows if window.name == found.window)
        budget = in_words(found.window) + (", up to its line to queue," if found.waits else "")
        return Money(
            budget=budget, wait=wait, queue=queue, aside=found.aside, spent=found.spent, reserved=found.reserved,
            limit=found.limit,
        )  # fmt: skip

    def _say_spent(self, found: Refused) -> None:
        """Record, once in its window, that a budget is spent."""
        told = self.options.told
        if (found.window, found.end) in told:
            return
        if len(told) >= TOLD_MOST:  # each tree has a window
            told.clear()
        told.add((found.window, found.end))
        text = f"{in_dollars(found.spent)} of {in_dollars(found.limit)} is spent; a call can cost more than is left"
        self.options.report("budget-spent", in_words(found.window), text)

    def _say_crossed(self, lines: tuple[Crossed, ...], windows: tuple[Window, ...]) -> None:
        for crossed in lines:
            window = next(each for each in windows if each.name == crossed.window)
            amount = in_dollars(getattr(window, crossed.line))
            text = f"more than {amount} of {in_dollars(window.limit)} is spent or about to be"
            self.options.report(_LINES[crossed.line], in_words(crossed.window), text)

    @receive
    async def rate(self, message: TakeRate, ctx: Context) -> Rate:
        """Share out the limits of a model."""
        cell = await self._speaker(ctx, "", message.epoch)
        return self._limits(message.model).share(
            cell, max(1, message.actors), message.tokens, now=self.options.clock.monotonic()
        )

    @receive
    async def pressed(self, message: Pressed, ctx: Context) -> Reported:
        """Take note that an endpoint wants less."""
        await self._speaker(ctx)
        limits = self._limits(message.model)
        if limits.complain(min(message.wait, 3_600.0), now=self.options.clock.monotonic()) and limits.limited:
            text = f"its endpoint is asked too much: it gets {limits.factor:.0%} of its limits for now"
            self.options.report("rate-lowered", message.model, text)
        return Reported()

    @receive
    async def book(self, message: Report, ctx: Context) -> Reported:
        """Write down what calls did cost and what was answered, and take leases back."""
        cell = await self._speaker(ctx, "", message.epoch)
        for actor in {entry.actor for entry in message.entries} | {answer.actor for answer in message.answers}:
            await self._speaker(ctx, actor)
        file = await self.options.file()
        if message.entries:
            entries = [msgspec.structs.replace(entry, cell=cell) for entry in message.entries]
            for over in (await file.settle(cell, message.epoch, entries)).over:
                if not over.lease:
                    continue  # nobody counts
                why = "more than its worst case" if over.counted else "of no lease that is known here"
                self.options.report("cost-above-worst", cell, f"call {over.entry} cost {in_dollars(over.amount)} {why}")
        for answer in message.answers:
            await file.put_cached(answer)
        if message.back:
            await file.give_back(cell, message.epoch, message.back)
        return Reported(life=self.options.life)

    @receive
    async def answer(self, message: AskAnswer, ctx: Context) -> Answered:
        """Say what was answered to a question before."""
        await self._speaker(ctx)
        found = await (await self.options.file()).cached(message.key)
        return Answered() if found is None else Answered(body=found.body, expires=found.expires)

    @receive
    async def judge(self, message: Judge, ctx: Context) -> Judged:
        """Take in how a message turned out; an answer that was given for one that failed is not given again."""
        await self._speaker(ctx)
        file = await self.options.file()
        await file.outcome(message.message, good=message.good)
        return Judged() if message.good else Judged(keys=tuple(await file.evict(message.message)))

    @receive
    async def forget(self, message: ForgetAnswers, ctx: Context) -> AnswersForgotten:
        """Forget answers that name somebody, and those that rest on an actor's memory as it was."""
        await self._speaker(ctx, message.actor)
        file = await self.options.file()
        memory = await file.memory_changed(message.actor)
        if not message.about:
            return AnswersForgotten(memory=memory)
        found = await file.forget(message.about, message.actor)
        places = (
            f"office.db: {found.bodies} answers, {found.answers} wrong answers, ids of {found.ids} calls, {found.log}",
            *(f"office.db, left: {rows} rows of {table}" for table, rows in found.left.items()),
        )
        return AnswersForgotten(places=places, memory=memory)

    @receive
    async def costs(self, message: ShowCosts, ctx: Context) -> Costs:
        """Show what was spent, by whom, on what."""
        hear_daemon(ctx)
        state = self.options
        return await costs_of(
            await state.file(), message, now=state.clock.now(), prices=state.prices, unpriced=state.unpriced
        )

    # --- who speaks

    async def _speaker(self, ctx: Context, actor: str = "", epoch: int = 0) -> str:
        """Return the cell that speaks; refuse what it says in the name of another cell's actor.

        A cell that speaks from a later life than before is a new process: what the old one had leased is over.
        """
        cell, home = ctx.sender_cell, self.options.homes.get(actor)
        if not cell or (home is not None and home != cell):
            raise PermissionDenied(f"cell {cell!r} may not speak for {actor!r} at the office", cell=cell)
        if epoch > self.options.epochs.get(cell, 0):
            self.options.epochs[cell] = epoch
            await self._bury(cell, epoch)
        return cell

    async def _bury(self, cell: str, epoch: int) -> None:
        for limits in self.options.limits.values():
            limits.leave(cell)
        for lost in await (await self.options.file()).bury(cell, epoch):
            self.options.say_lost(lost, f"cell {cell} had leased it when it died")

    def _limits(self, model: str) -> Limits:
        limits = self.options.limits.get(model)
        if limits is None:
            raise OfficeAway(f"no model is named {model[:80]!r} here: the fleet file has changed", actor=OFFICE)
        return limits


def _leased(found: Leased, now: float) -> Money:
    left = found.until - now if found.until < math.inf else None
    return Money(
        lease=found.id, amount=found.amount, left=left, step_down=found.step_down, urgent=found.queue
    )  # fmt: skip
