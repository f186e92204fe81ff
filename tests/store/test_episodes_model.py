"""Any sequence of verbs, and of openings, gives what a plain model gives."""

import tempfile
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from anyio.from_thread import start_blocking_portal
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from callboard.store.episodes import Filter, Outcome, Person, id_of
from callboard.store.episodes.file import EpisodeFile

from ..manual_clock import ManualClock
from .remembered import opened, told

T = TypeVar("T")
_TEXTS = st.sampled_from([f"{verb} the {noun}" for verb in ("paint", "move", "sell") for noun in ("door", "roof")])
_PEOPLE = st.sampled_from(["", "ann", "bob"])
_MESSAGES = st.sampled_from(["", "m1", "m2", "m3"])
_TRUST = st.sampled_from([0, 1, 2])
_SAYERS = st.sampled_from(["x", "y"])


class Known(msgspec.Struct):
    """An episode as the model has it."""

    situation: str
    about: str
    worked: bool | None
    trust: int
    begin: float
    end: float | None = None
    sightings: int = 1
    superseded_by: list[str] = []


class Said(msgspec.Struct):
    good: bool
    trust: int


class Model:
    """What a memory is to know, in plain Python."""

    def __init__(self) -> None:
        self.episodes: dict[str, Known] = {}
        self.made: dict[str, dict[str, None]] = {}
        self.recalled: dict[str, dict[str, bool]] = {}
        self.said: dict[str, dict[str, Said]] = {}

    def remember(self, name: str, new: Known, *, message: str, old: str, now: float) -> None:
        there = self.episodes.get(name)
        again = message and name in self.made.get(message, {})
        if there is None:
            there = self.episodes[name] = new
        elif not again:
            newer = [self.episodes[each].trust for each in there.superseded_by if each in self.episodes]
            if new.trust > there.trust:
                there.worked, there.begin = new.worked, new.begin
                there.end = there.end if newer and max(newer) > new.trust else None
            if there.end is not None and there.end <= now and new.trust >= max([there.trust, *newer]):
                there.end = None
            if new.worked is not None and not (new.trust < there.trust and there.worked is not None):
                there.worked = new.worked
            there.trust, there.sightings = max(there.trust, new.trust), there.sightings + 1
        if not again and old in self.episodes and old != name:
            self.supersede(self.episodes[old], name, new.trust, now)
        if message and not again:
            self.made.setdefault(message, {})[name] = None
            for said in self.said.get(message, {}).values():
                self.judge(there, said)

    def supersede(self, old: Known, name: str, trust: int, now: float) -> None:
        old.superseded_by.append(name)
        if old.trust <= trust:
            old.end = now if old.end is None else min(old.end, now)

    def judge(self, there: Known, said: Said) -> None:
        if said.trust > 0 or (there.worked is None and not said.good):
            there.worked = said.good

    def outcome(self, message: str, by: str, said: Said) -> None:
        if any(each.trust > said.trust for each in self.said.get(message, {}).values()):
            return
        self.said.setdefault(message, {}).pop(by, None)
        self.said[message][by] = said
        for name in self.made.get(message, {}):
            self.judge(self.episodes[name], said)

    def forget(self, gone: set[str]) -> None:
        for name in gone:
            del self.episodes[name]
            for each in [*self.made.values(), *self.recalled.values()]:
                each.pop(name, None)  # type: ignore[attr-defined]  # two kinds of dict

    def counts(self, name: str) -> tuple[int, int]:
        helped = harmed = 0
        for message, found in self.recalled.items():
            if found.get(name) or (name in found and not any(found.values())):
                helped += sum(said.good for said in self.said.get(message, {}).values())
                harmed += sum(not said.good for said in self.said.get(message, {}).values())
        return helped, harmed


class Memory(RuleBasedStateMachine):
    """A real memory beside its model."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        self.portal = self.stack.enter_context(start_blocking_portal("asyncio"))
        self.clock, self.model = ManualClock(), Model()
        self.forgot = False
        self.open()

    def open(self) -> None:
        self.inner = ExitStack()
        self.memory: EpisodeFile = self.inner.enter_context(
            self.portal.wrap_async_context_manager(self.call_soon(lambda: opened(self.folder, clock=self.clock)))
        )

    def call_soon(self, fn: Callable[[], T]) -> T:
        async def call() -> T:
            return fn()

        return self.portal.call(call)

    def run(self, fn: Callable[..., Coroutine[Any, Any, T]], *args: Any, **more: Any) -> T:
        async def call() -> T:
            return await fn(*args, **more)

        return self.portal.call(call)

    def teardown(self) -> None:
        self.inner.close()
        self.stack.close()

    @rule(
        text=_TEXTS, about=_PEOPLE, worked=st.sampled_from([True, False, None]), trust=_TRUST, message=_MESSAGES,
        old=st.none() | st.tuples(_TEXTS, _PEOPLE),
    )  # fmt: skip
    def remember(
        self, text: str, about: str, worked: bool | None, trust: int, message: str, old: tuple[str, str] | None
    ) -> None:
        older = id_of(told(old[0], about=old[1])) if old else ""
        now = self.clock.now()
        episode = told(text, about=about, worked=worked, trust=trust, supersedes=(older,) if older else ())
        made = self.run(self.memory.remember, episode, message=message)
        assert made.new == (made.id not in self.model.episodes)
        new = Known(text, about, worked, trust, now)
        self.model.remember(made.id, new, message=message, old=older, now=now)

    @rule(
        text=_TEXTS,
        message=_MESSAGES,
        k=st.integers(1, 5),
        min_trust=_TRUST,
        worked=st.sampled_from([True, False, None]),
    )
    def recall(self, text: str, message: str, k: int, min_trust: int, worked: bool | None) -> None:
        wanted = Filter(min_trust=min_trust, worked=worked)
        found = self.run(self.memory.recall, text, k, wanted=wanted, message=message)
        assert len(found.episodes) <= k
        assert len(found.warnings) <= k
        for each in [*found.episodes, *found.warnings]:
            known = self.model.episodes[each.id]
            assert known.trust >= min_trust
            assert known.begin <= self.clock.now()
            assert known.end is None or known.end > self.clock.now()
            assert worked is None or known.worked is not None
        assert all(self.model.episodes[each.id].worked is not False for each in found.episodes)
        assert all(self.model.episodes[each.id].worked is False for each in found.warnings)
        named = [
            each for each in self.model.episodes.values()
            if each.situation == text and each.trust >= min_trust and each.end is None and each.worked is not False
            and (worked is None or (worked and each.worked))
        ]  # fmt: skip
        assert found.episodes or not named
        if message:
            seen = self.model.recalled.setdefault(message, {})
            for each in [*found.episodes, *found.warnings]:
                seen.setdefault(each.id, False)

    @rule(text=_TEXTS, about=_PEOPLE, message=_MESSAGES.filter(bool))
    def use(self, text: str, about: str, message: str) -> None:
        name = id_of(told(text, about=about))
        self.run(self.memory.used, message, [name])
        if name in self.model.episodes:
            self.model.recalled.setdefault(message, {})[name] = True

    @rule(message=_MESSAGES.filter(bool), good=st.booleans(), by=_SAYERS, trust=_TRUST)
    def outcome(self, message: str, good: bool, by: str, trust: int) -> None:
        self.run(self.memory.outcome, Outcome(message=message, good=good, said_by=by, trust=trust))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        self.model.outcome(message, by, Said(good, trust))

    @precondition(lambda self: self.model.episodes)
    @rule(about=_PEOPLE.filter(bool))
    def forget(self, about: str) -> None:
        gone = {name for name, each in self.model.episodes.items() if each.about == about}
        assert set(self.run(self.memory.forget, Person(about=about)).episodes) == gone
        self.model.forget(gone)
        self.forgot = self.forgot or bool(gone)

    @rule()
    def reopen(self) -> None:
        self.inner.close()
        self.open()

    @rule()
    def save(self) -> None:
        self.run(self.memory.indexer.keep_up)
        self.run(self.memory.indexer.save)

    @rule(seconds=st.floats(0.5, 100))
    def pass_time(self, seconds: float) -> None:
        self.run(self.clock.advance, seconds)

    @invariant()
    def knows_what_the_model_knows(self) -> None:
        self.run(self.memory.stats)  # which writes down what was recalled
        rows = self.run(self.memory.page, below=10**6, limit=1000, wanted=Filter(at=1e12))
        rows += self.run(self.memory.page, below=10**6, limit=1000, wanted=Filter(at=self.clock.now()))
        for row in rows:
            assert row.recalled.id in self.model.episodes
        for name, known in self.model.episodes.items():
            found = self.run(self.memory.show, name)[0]
            mine = (found.episode.worked, found.episode.trust, found.episode.valid_until, found.sightings)
            assert mine == (known.worked, known.trust, known.end, known.sightings), name
            if not self.forgot:  # what is used for a message may be what was forgotten
                assert (found.helped, found.harmed) == self.model.counts(name), name


TestMemory = Memory.TestCase
TestMemory.settings = settings(max_examples=20, stateful_step_count=25, deadline=None)
