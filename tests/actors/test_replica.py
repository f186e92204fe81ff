"""What happens to a message in a handler's hand, and to the actor that holds it."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import msgspec
import pytest

from callboard import (
    Actor,
    ActorDied,
    ActorSpec,
    ActorStopped,
    CallboardError,
    Context,
    DeadlineExceeded,
    HandlerFailed,
    MailboxFull,
    Message,
    MessageRefused,
    MessageTooLarge,
    receive,
)
from callboard.actors import Health, Intensity, WrongReply
from callboard.errors import InvalidName
from callboard.names import checked
from callboard.testing import Faults, ManualClock, Stage


class Add(Message):
    amount: int = 1


class Total(Message):
    total: int


class Fail(Message):
    how: str = "ValueError"


class Odd(BaseException):
    """What is no Exception."""


class Counter(Actor):
    """Counts in ``self``, and in memory."""

    answers_with = (InvalidName,)

    def __init__(self) -> None:
        self.total = 0
        self.ready = False

    async def started(self, ctx: Context) -> None:
        self.ready = True

    @receive
    async def add(self, message: Add, ctx: Context) -> Total:
        assert self.ready
        self.total += message.amount
        await ctx.memory.incr("total", message.amount)
        return Total(total=self.total)

    @receive
    async def fail(self, message: Fail, ctx: Context) -> Total:
        if message.how == "wrong":
            return Add()  # type: ignore[return-value] # pyright: ignore[reportReturnType]  # what is tested
        if message.how == "memory":
            return Total(total=await ctx.memory.get("total", int, default=0))
        raise {
            "ValueError": ValueError("no good"),
            "SystemExit": SystemExit(3),
            "Odd": Odd("very"),
            "cancel": asyncio.CancelledError(),
            "answer": InvalidName("an answer"),
        }[message.how]


async def total(stage: Stage) -> int:
    return (await stage.ask(Counter.add, Add())).total


async def test_a_failure_fails_that_message_and_makes_the_object_anew() -> None:
    async with Stage([Counter]) as stage:
        assert [await total(stage), await total(stage)] == [1, 2]
        with pytest.raises(HandlerFailed, match="counter failed: ValueError: no good") as caught:
            await stage.ask(Counter.fail, Fail())
        assert caught.value.detail == {"actor": "counter", "exception": "ValueError"}
        assert await total(stage) == 1
        row = stage.row("counter")
        assert (row.state, row.handled, row.failed, row.restarts) == ("running", 3, 1, 0)
        [event] = stage.events_of("handler-failed", "counter")
        assert (event.text, event.detail["type"], event.detail["sender"]) == (
            "ValueError: no good",
            "Fail",
            "stage-caller",
        )


async def test_what_is_in_memory_outlives_a_failure_and_a_crash() -> None:
    async with Stage([Counter]) as stage:
        for how in ("ValueError", "SystemExit"):
            await total(stage)
            with pytest.raises(HandlerFailed):
                await stage.ask(Counter.fail, Fail(how=how))
        assert await stage.ask(Counter.fail, Fail(how="memory")) == Total(total=2)
        assert await total(stage) == 1


async def test_an_error_that_is_an_answer_reaches_the_asker_and_the_object_is_kept() -> None:
    async with Stage([Counter]) as stage:
        await total(stage)
        with pytest.raises(InvalidName, match="an answer"):
            await stage.ask(Counter.fail, Fail(how="answer"))
        assert await total(stage) == 2
        assert (stage.row("counter").failed, stage.row("counter").handled) == (0, 3)


async def fail(stage: Stage, how: str = "ValueError", *, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(CallboardError):
            await stage.ask(Counter.fail, Fail(how=how))


async def test_five_different_messages_failing_in_a_row_are_a_crash() -> None:
    async with Stage([Counter]) as stage:
        await fail(stage, times=4)
        assert not stage.events_of("actor-crashed")
        await fail(stage)
        event = await stage.wait_event("actor-crashed", "counter")
        assert event.text == "5 messages in a row failed, the last with ValueError: no good"
        assert await total(stage) == 1
        assert stage.row("counter").restarts == 1


@pytest.mark.parametrize("between", ["add", "answer"])
async def test_a_message_that_succeeds_begins_the_row_anew(between: str) -> None:
    async with Stage([Counter]) as stage:
        await fail(stage, times=4)
        await (total(stage) if between == "add" else fail(stage, "answer"))
        await fail(stage, times=4)
        assert not stage.events_of("actor-crashed")


@pytest.mark.parametrize(("how", "said"), [("SystemExit", "SystemExit: 3"), ("Odd", "Odd: very")])
async def test_what_is_no_exception_is_a_crash_and_answers_the_asker(how: str, said: str) -> None:
    async with Stage([Counter]) as stage:
        with pytest.raises(HandlerFailed, match=said):
            await stage.ask(Counter.fail, Fail(how=how))
        assert (await stage.wait_event("actor-crashed", "counter")).text == f"a handler raised {said}"
        assert await total(stage) == 1


async def test_a_cancellation_that_nobody_ordered_is_an_ordinary_failure() -> None:
    async with Stage([Counter]) as stage:
        with pytest.raises(HandlerFailed, match="CancelledError"):
            await stage.ask(Counter.fail, Fail(how="cancel"))
        assert await total(stage) == 1
        assert not stage.events_of("actor-crashed")


async def test_a_reply_of_another_type_than_promised_is_an_error_of_the_actor() -> None:
    async with Stage([Counter]) as stage:
        with pytest.raises(WrongReply, match=r"counter\.fail returned Add, not .*Total"):
            await stage.ask(Counter.fail, Fail(how="wrong"))


class Text(Message):
    text: str


class Big(Actor):
    @receive
    async def add(self, message: Add, ctx: Context) -> Text:
        return Text(text="x" * message.amount)


async def test_a_reply_too_large_for_the_bus_is_a_typed_error() -> None:
    async with Stage([Big], max_payload=10_000) as stage:
        assert len((await stage.ask(Big.add, Add(amount=1000))).text) == 1000
        with pytest.raises(MessageTooLarge) as caught:
            await stage.ask(Big.add, Add(amount=10_000))
        assert int(caught.value.detail["limit"] or 0) <= 10_000


class Named(Message):
    name: str

    def __post_init__(self) -> None:
        checked(self.name, "actor")


class Strict(Actor):
    @receive
    async def named(self, message: Named, ctx: Context) -> Total:
        return Total(total=len(message.name))


async def test_a_message_that_does_not_accept_itself_is_refused_and_harms_nobody() -> None:
    good = Named(name="good")
    bad = msgspec.json.encode({"type": "Named", "name": "B A D"})
    async with Stage([ActorSpec(actor=Strict, name="strict", cell="main", open=True)]) as stage:
        for _ in range(6):
            reply = msgspec.json.decode(await stage.knock("strict", bad))
            assert (reply["type"], reply["code"]) == ("Error", MessageRefused.code)
            assert "Named does not accept itself: InvalidName" in reply["text"]
        assert await stage.ask(Strict.named, good) == Total(total=4)
        assert (stage.row("strict").refused, stage.row("strict").restarts) == (6, 0)


# --- in hand


class Wait(Message):
    """Handled until the hooks say go."""

    text: str = ""


class Done(Message):
    text: str


class Hooks:
    """What tests and handlers of :class:`Waiter` share."""

    def __init__(self) -> None:
        self.entered: list[str] = []
        self.left: list[str] = []
        self.most_at_once = 0
        self.go = anyio.Event()
        self.cleanup = anyio.Event()
        self.cleanup.set()

    @asynccontextmanager
    async def inside(self, text: str) -> AsyncGenerator[None]:
        self.entered.append(text)
        self.most_at_once = max(self.most_at_once, len(self.entered) - len(self.left))
        how = "cancelled"
        try:
            yield
            how = "done"
        finally:
            with anyio.CancelScope(shield=True):
                await self.cleanup.wait()
            self.left.append(f"{text} {how}")


class Waiter(Actor):
    options: Hooks

    @receive
    async def wait(self, message: Wait, ctx: Context) -> Done:
        async with self.options.inside(message.text):
            await self.options.go.wait()
        return Done(text=message.text)


class Pool(Waiter):
    concurrency = 3


def waiter(hooks: Hooks, actor: type[Waiter] = Waiter, **options: Any) -> ActorSpec:
    return ActorSpec(actor=actor, name="waiter", cell="main", options=hooks, **options)


class Asker:
    """Asks in the background and notes what came of it."""

    def __init__(self) -> None:
        self.got: dict[str, object] = {}

    async def ask(self, stage: Stage, text: str, timeout: float = 5.0) -> None:
        try:
            self.got[text] = await stage.ask("waiter", Wait(text=text), timeout=timeout, reply=Done)
        except CallboardError as error:
            self.got[text] = type(error)


async def test_the_deadline_cancels_the_handler() -> None:
    hooks = Hooks()
    async with Stage([waiter(hooks)]) as stage:
        with pytest.raises(DeadlineExceeded):
            await stage.ask("waiter", Wait(text="a"), timeout=0.03)
        await stage.wait_until(lambda: hooks.left == ["a cancelled"])
        assert stage.row("waiter").in_hand == []


async def test_the_deadline_cancels_the_handler_though_its_asker_vanished() -> None:
    hooks, clock, asker = Hooks(), ManualClock(), Asker()
    async with Stage([waiter(hooks)], clock=clock) as stage:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(asker.ask, stage, "a", 10.0)
            await stage.wait_until(lambda: hooks.entered == ["a"])
            stage.disconnect("stage-caller")
            tasks.cancel_scope.cancel()
        await clock.advance(9.9)
        assert hooks.left == []
        await clock.advance(0.3)
        await stage.wait_until(lambda: hooks.left == ["a cancelled"])


async def test_an_asker_that_gives_up_cancels_the_handler() -> None:
    hooks = Hooks()
    async with Stage([waiter(hooks)]) as stage:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(Asker().ask, stage, "a")
            await stage.wait_until(lambda: hooks.entered == ["a"])
            tasks.cancel_scope.cancel()
        await stage.wait_until(lambda: hooks.left == ["a cancelled"])


async def test_an_asker_that_gives_up_takes_its_question_out_of_the_mailbox() -> None:
    hooks = Hooks()
    async with Stage([waiter(hooks)]) as stage, anyio.create_task_group() as outer:
        outer.start_soon(Asker().ask, stage, "first")
        await stage.wait_until(lambda: hooks.entered == ["first"])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(Asker().ask, stage, "second")
            await stage.wait_until(lambda: stage.row("waiter").depth == 1)
            tasks.cancel_scope.cancel()
        await stage.wait_until(lambda: stage.row("waiter").depth == 0)
        hooks.go.set()


async def test_a_question_whose_deadline_passed_in_the_mailbox_never_reaches_the_handler() -> None:
    hooks, clock, asker = Hooks(), ManualClock(), Asker()
    async with Stage([waiter(hooks)], clock=clock) as stage, anyio.create_task_group() as tasks:
        tasks.start_soon(asker.ask, stage, "first", 1000.0)
        await stage.wait_until(lambda: hooks.entered == ["first"])
        tasks.start_soon(asker.ask, stage, "second", 10.0)
        await stage.wait_until(lambda: stage.row("waiter").depth == 1)
        await clock.advance(11.0)
        hooks.go.set()
        await stage.wait_until(lambda: len(asker.got) == 2)
        assert asker.got == {"first": Done(text="first"), "second": DeadlineExceeded}
        assert hooks.entered == ["first"]


async def test_one_message_at_a_time_and_in_order() -> None:
    hooks, asker = Hooks(), Asker()
    async with Stage([waiter(hooks)]) as stage, anyio.create_task_group() as tasks:
        for text in "abc":
            tasks.start_soon(asker.ask, stage, text)
        await stage.wait_until(lambda: stage.row("waiter").depth == 2)
        assert hooks.entered == ["a"]
        hooks.go.set()
    assert hooks.most_at_once == 1
    assert hooks.entered == ["a", "b", "c"]


async def test_an_actor_has_as_many_in_hand_as_it_says() -> None:
    hooks, asker = Hooks(), Asker()
    async with Stage([waiter(hooks, Pool)]) as stage, anyio.create_task_group() as tasks:
        for text in "abcde":
            tasks.start_soon(asker.ask, stage, text)
        await stage.wait_until(lambda: stage.row("waiter").depth == 2)
        assert hooks.entered == ["a", "b", "c"]
        assert stage.row("waiter").in_hand == ["Wait"] * 3
        hooks.go.set()
    assert len(asker.got) == 5
    assert hooks.most_at_once == 3


async def test_replicas_share_one_mailbox_and_the_free_one_takes_the_next() -> None:
    class Choosy(Waiter):
        @receive
        async def wait(self, message: Wait, ctx: Context) -> Done:
            async with self.options.inside(f"{message.text} {id(self)}"):
                if message.text == "long":
                    await self.options.go.wait()
            return Done(text=message.text)

    hooks, asker = Hooks(), Asker()
    async with Stage([waiter(hooks, Choosy, replicas=2)]) as stage, anyio.create_task_group() as tasks:
        tasks.start_soon(asker.ask, stage, "long")
        await stage.wait_until(lambda: len(hooks.entered) == 1)
        for text in ("a", "b", "c"):
            await asker.ask(stage, text)
        hooks.go.set()
    objects = {entry.split()[1] for entry in hooks.entered[1:]}
    assert len(objects) == 1
    assert hooks.entered[0].split()[1] not in objects


async def test_a_copy_of_a_message_in_two_hands_harms_nobody() -> None:
    hooks, asker = Hooks(), Asker()
    async with Stage([waiter(hooks, replicas=2)]) as stage, anyio.create_task_group() as tasks:
        stage.broker.faults = Faults(duplicate=1.0)
        tasks.start_soon(asker.ask, stage, "a")
        await stage.wait_until(lambda: hooks.entered == ["a", "a"])
        stage.broker.faults = Faults()
        hooks.go.set()
        await stage.wait_until(lambda: hooks.left == ["a done"] * 2 and len(asker.got) == 1)
        assert stage.row("waiter").in_hand == []
        assert not stage.events


class Bomb(Pool):
    @receive
    async def fail(self, message: Fail, ctx: Context) -> None:
        raise SystemExit


class SlowBomb(Bomb):
    concurrency = 1


async def test_a_crash_answers_what_the_same_object_has_in_hand() -> None:
    hooks, asker = Hooks(), Asker()
    async with Stage([waiter(hooks, Bomb)]) as stage, anyio.create_task_group() as tasks:
        tasks.start_soon(asker.ask, stage, "in hand")
        await stage.wait_until(lambda: hooks.entered == ["in hand"])
        await stage.tell("waiter", Fail())
        await stage.wait_until(lambda: asker.got == {"in hand": ActorDied})


async def test_a_crash_keeps_what_waits_for_the_next_object() -> None:
    hooks, asker = Hooks(), Asker()
    hooks.go.set()
    async with Stage([waiter(hooks, SlowBomb)]) as stage, anyio.create_task_group() as tasks:
        mailbox = stage.host("waiter").mailbox
        mailbox.pause()
        await stage.tell("waiter", Fail())
        for text in ("x", "y"):
            tasks.start_soon(asker.ask, stage, text)
        await stage.wait_until(lambda: len(mailbox) == 3)
        mailbox.resume()
        await stage.wait_event("actor-crashed")
        await stage.wait_until(lambda: asker.got == {"x": Done(text="x"), "y": Done(text="y")})


async def test_a_reply_to_an_outsider_that_cannot_leave_is_no_fault_of_the_actor() -> None:
    hooks = Hooks()
    async with Stage([waiter(hooks, open=True)]) as stage:
        with pytest.raises(TimeoutError):
            await stage.knock("waiter", b'{"type": "Wait", "text": "a"}', within=0.02)
        stage.disconnect()
        hooks.go.set()
        await stage.wait_until(lambda: stage.row("waiter").handled == 1)
        stage.reconnect()
        assert stage.events == []
        assert stage.cells["main"].endpoint.lost == 1


# --- full


async def test_a_question_to_a_full_mailbox_is_refused_with_its_depth() -> None:
    hooks, asker = Hooks(), Asker()
    async with Stage([waiter(hooks, mailbox=2)]) as stage, anyio.create_task_group() as tasks:
        tasks.start_soon(asker.ask, stage, "a")
        await stage.wait_until(lambda: hooks.entered == ["a"])
        for text in "bc":
            tasks.start_soon(asker.ask, stage, text)
        await stage.wait_until(lambda: stage.row("waiter").depth == 2)
        with pytest.raises(MailboxFull, match="the mailbox of waiter is full: 2 wait") as caught:
            await stage.ask("waiter", Wait(text="d"))
        assert caught.value.depth == 2
        [event] = stage.events_of("message-refused", "waiter")
        assert event.detail["code"] == MailboxFull.code
        hooks.go.set()
    assert set(asker.got) == {"a", "b", "c"}


async def test_a_cancel_passes_a_full_mailbox() -> None:
    hooks, asker = Hooks(), Asker()
    async with Stage([waiter(hooks, mailbox=1)]) as stage, anyio.create_task_group() as tasks:
        async with anyio.create_task_group() as first:
            first.start_soon(asker.ask, stage, "first")
            await stage.wait_until(lambda: hooks.entered == ["first"])
            tasks.start_soon(asker.ask, stage, "second")
            await stage.wait_until(lambda: stage.row("waiter").depth == 1)
            first.cancel_scope.cancel()
        await stage.wait_until(lambda: hooks.entered == ["first", "second"])
        assert hooks.left == ["first cancelled"]
        hooks.go.set()


async def test_a_sender_without_credit_waits_and_then_hears_how_many_wait() -> None:
    hooks = Hooks()
    async with Stage([waiter(hooks)]) as stage:
        for _ in range(1025):  # one in hand has given its credit back
            await stage.tell("waiter", Wait())
        await stage.wait_until(lambda: stage.row("waiter").depth == 1024)
        with pytest.raises(MailboxFull, match="waiter has not taken 1024 messages") as caught:
            await stage.tell("waiter", Wait(), timeout=0.02)
        assert caught.value.depth == 1024
        hooks.go.set()
        await stage.tell("waiter", Wait())
        await stage.wait_until(lambda: stage.row("waiter").handled == 1026)


async def test_an_actor_that_awaits_nothing_lets_others_have_their_turn() -> None:
    class Busy(Actor):
        @receive
        async def add(self, message: Add, ctx: Context) -> None:
            busy_until = time.perf_counter() + 0.0002
            while time.perf_counter() < busy_until:
                pass
            self.options.append(len(turns))

    seen: list[int] = []
    turns: list[None] = []

    async def turn_by_turn() -> None:
        while True:
            turns.append(None)
            await anyio.lowlevel.checkpoint()

    async with Stage([ActorSpec(actor=Busy, name="busy", cell="main", options=seen)]) as stage:
        mailbox = stage.host("busy").mailbox
        mailbox.pause()
        for _ in range(160):
            await stage.tell("busy", Add())
        await stage.wait_until(lambda: len(mailbox) == 160)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(turn_by_turn)
            await anyio.lowlevel.checkpoint()
            mailbox.resume()
            await stage.wait_until(lambda: len(seen) == 160)
            tasks.cancel_scope.cancel()
    assert len(set(seen)) >= 25  # 160 messages of 0.2 ms: a turn for others every millisecond


async def test_a_message_that_blocks_does_not_keep_others_from_their_turn_before_the_next() -> None:
    """Else sixteen messages of a quarter of a second each would look like a loop that hangs."""

    class Slow(Actor):
        @receive
        async def add(self, message: Add, ctx: Context) -> None:
            time.sleep(0.003)  # noqa: ASYNC251 - the point
            self.options.append(len(turns))

    seen: list[int] = []
    turns: list[None] = []

    async def turn_by_turn() -> None:
        while True:
            turns.append(None)
            await anyio.lowlevel.checkpoint()

    async with (
        Stage([ActorSpec(actor=Slow, name="slow", cell="main", options=seen)]) as stage,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(turn_by_turn)
        for _ in range(20):
            await stage.tell("slow", Add())
        await stage.wait_until(lambda: len(seen) == 20)
        tasks.cancel_scope.cancel()
    assert len(set(seen)) == 20


async def test_text_that_is_not_utf_8_fails_its_message_alone_and_is_told_as_escapes() -> None:
    class Careless(Actor):
        @receive
        async def add(self, message: Add, ctx: Context) -> Total:
            ctx.progress("reading \udcff")
            with ctx.waiting("the disk \udcff", up_to=1.0):
                msgspec.msgpack.encode(stage.row("careless"))
                raise FileNotFoundError("no file named \udcff")

    async with Stage([Careless]) as stage:
        with pytest.raises(HandlerFailed, match=r"no file named \\udcff"):
            await stage.ask(Careless.add, Add())
        [event] = stage.events_of("handler-failed", "careless")
        msgspec.msgpack.encode(event)
        assert stage.row("careless").restarts == 0


# --- the end


async def test_at_the_end_what_is_in_hand_may_finish_and_what_waits_is_answered() -> None:
    hooks, asker = Hooks(), Asker()
    async with anyio.create_task_group() as tasks, Stage([waiter(hooks)]) as stage:
        for text in "abc":
            tasks.start_soon(asker.ask, stage, text)
        await stage.wait_until(lambda: stage.row("waiter").depth == 2)
        tasks.start_soon(_release, stage, hooks)
    assert asker.got == {"a": Done(text="a"), "b": ActorStopped, "c": ActorStopped}


async def _release(stage: Stage, hooks: Hooks) -> None:
    await stage.wait_until(lambda: stage.row("waiter").state == "draining")
    hooks.go.set()


async def test_what_does_not_finish_within_drain_for_is_answered_too() -> None:
    hooks, asker = Hooks(), Asker()
    async with anyio.create_task_group() as tasks, Stage([waiter(hooks, health=Health(drain_for=0.02))]) as stage:
        for text in "ab":
            tasks.start_soon(asker.ask, stage, text)
        await stage.wait_until(lambda: stage.row("waiter").depth == 1)
    assert asker.got == {"a": ActorDied, "b": ActorStopped}
    assert hooks.left == ["a cancelled"]


class Closing(Counter):
    async def stopping(self, ctx: Context) -> None:
        self.options.append(self.total)
        if self.total > 1:
            raise ValueError("cannot close")


def closing(seen: list[int]) -> ActorSpec:
    return ActorSpec(actor=Closing, name="counter", cell="main", options=seen)


async def test_stopping_runs_after_the_last_message_and_not_after_a_crash() -> None:
    seen: list[int] = []
    async with Stage([closing(seen)]) as stage:
        await fail(stage, "SystemExit")
        await total(stage)
        assert seen == []
    assert seen == [1]


async def test_an_error_in_stopping_is_an_event() -> None:
    seen: list[int] = []
    async with Stage([closing(seen)]) as stage:
        assert [await total(stage), await total(stage)] == [1, 2]
    [event] = stage.events_of("actor-crashed", "counter")
    assert event.text == "stopping() raised ValueError('cannot close')"


# --- the beginning


class Fragile(Counter):
    async def started(self, ctx: Context) -> None:
        await super().started(ctx)
        await self.options()


async def _times_out() -> None:
    raise TimeoutError("the database did not answer")


async def _cancels() -> None:
    raise asyncio.CancelledError


async def _exits() -> None:
    raise SystemExit(2)


@pytest.mark.parametrize(
    ("how", "why"),
    [
        (_times_out, "it failed to start: TimeoutError: the database did not answer"),
        (anyio.sleep_forever, "started() took longer than start_within = 0.02 s"),
        (_cancels, "started() or stopping() awaited what somebody else had cancelled"),
        (_exits, "it failed to start: SystemExit: 2"),
    ],
)
async def test_a_start_that_fails_is_a_crash_that_says_why(how: Any, why: str) -> None:
    spec = ActorSpec(
        actor=Fragile, name="fragile", cell="main", options=how,
        health=Health(start_within=0.02), intensity=Intensity(most=0),
    )  # fmt: skip
    async with Stage([spec, Counter]) as stage:
        assert (await stage.wait_event("actor-crashed", "fragile")).text == why
        await stage.wait_event("actor-held", "fragile")
        assert await total(stage) == 1
