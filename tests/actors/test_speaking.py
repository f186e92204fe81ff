"""tell, ask and publish: who may say what, how long a chain may be, and whose time it takes."""

from typing import Any

import anyio
import msgspec
import pytest

from callboard import (
    Actor,
    ActorSpec,
    BadActor,
    Context,
    DeadlineExceeded,
    Grant,
    HandlerFailed,
    Held,
    Json,
    Message,
    MessageRefused,
    MessageTooLarge,
    NoSuchActor,
    Untrusted,
    receive,
)
from callboard.actors import EVERYTHING, Speaker
from callboard.actors.speaking import HOPS_MOST
from callboard.actors.target import course_to
from callboard.bus import Kind, Trust
from callboard.errors import InvalidName
from callboard.ids import new_id
from callboard.testing import ManualClock, Probe, Stage


class Question(Message):
    text: Untrusted[str]


class Answer(Message):
    text: str


class Note(Message):
    text: str = ""


class Desk(Actor):
    @receive
    async def question(self, message: Question, ctx: Context) -> Answer | None:
        return Answer(text=message.text.upper()) if message.text else None

    @receive(topic="news")
    async def news(self, message: Note, ctx: Context) -> None: ...


async def test_a_handler_is_a_typed_target_a_class_and_a_name_are_targets_too() -> None:
    async with Stage([Desk]) as stage:
        assert await stage.ask(Desk.question, Question(text="a")) == Answer(text="A")
        assert await stage.ask(Desk, Question(text="a")) == Answer(text="A")
        assert await stage.ask("desk", Question(text="a"), reply=Answer) == Answer(text="A")
        assert await stage.ask("desk", Question(text="a")) == {"type": "Answer", "text": "A"}


async def test_a_reply_may_be_nothing() -> None:
    async with Stage([Desk]) as stage:
        assert await stage.ask(Desk.question, Question(text="")) is None


@pytest.mark.parametrize("target", [Desk, Desk.question, Desk.news])
async def test_what_the_class_does_not_take_is_refused_before_it_is_sent(target: Any) -> None:
    async with Stage([Desk]) as stage:
        with pytest.raises(MessageRefused, match="Desk takes Question, not Note"):
            await stage.ask(target, Note())
        with pytest.raises(MessageRefused, match="Desk takes Question, not Note"):
            await stage.tell(target, Note())
        assert stage.row("desk").refused == 0


async def test_what_a_named_actor_does_not_take_is_refused_by_it() -> None:
    async with Stage([Desk]) as stage:
        with pytest.raises(MessageRefused, match="desk takes Question, not 'Note'"):
            await stage.ask("desk", Note())
        assert stage.row("desk").refused == 1


@pytest.mark.parametrize("name", ["*", "a.b", ">", "", "Desk", "desk\n"])
async def test_a_name_passes_the_gate(name: str) -> None:
    async with Stage([Desk]) as stage:
        for speak in (stage.ask, stage.tell):
            with pytest.raises(InvalidName):
                await speak(name, Question(text=""))
        with pytest.raises(InvalidName):
            await stage.publish(name, Note())


async def test_what_is_no_target_is_said_to_be_none() -> None:
    async with Stage([Desk]) as stage:
        with pytest.raises(BadActor, match="use an Actor class, one of its handlers, or a name"):
            await stage.ask(object(), Note())  # type: ignore[call-overload] # pyright: ignore  # what is tested


async def test_nobody_of_that_name_is_known_at_once() -> None:
    async with Stage([Desk]) as stage:
        with anyio.fail_after(1):
            with pytest.raises(NoSuchActor, match="nobody"):
                await stage.ask("nobody", Note())
            with pytest.raises(NoSuchActor, match="nobody"):
                await stage.tell("nobody", Note())


async def test_a_tell_to_one_who_is_held_says_so_when_first_spoken_to() -> None:
    async with Stage([Desk]) as stage:
        stage.cell_of("desk").hold("desk", why="a test")
        with pytest.raises(Held, match="callboard revive desk"):
            await stage.tell(Desk, Question(text="a"))
        stage.cell_of("desk").revive("desk")
        await stage.tell(Desk, Question(text="a"))
        await stage.wait_until(lambda: stage.row("desk").handled == 1)


async def test_json_is_read_by_who_receives_it() -> None:
    async with Stage([Desk]) as stage:
        asked = Json(b'{"type": "Question", "text": "a"}', "Question")
        assert await stage.ask("desk", asked) == {"type": "Answer", "text": "A"}
        assert await stage.ask(Desk, asked) == Answer(text="A")
        with pytest.raises(MessageRefused, match=r"unknown field `more`"):
            await stage.ask("desk", Json(b'{"type": "Question", "text": "a", "more": 1}', "Question"))
        with pytest.raises(MessageRefused):
            await stage.ask("desk", Json(b"{", "Question"))


async def test_a_message_too_large_is_refused_before_it_is_sent() -> None:
    async with Stage([Desk], max_payload=10_000) as stage:
        for speak in (stage.ask, stage.tell):
            with pytest.raises(MessageTooLarge):
                await speak(Desk, Question(text="x" * 10_000))
        with pytest.raises(MessageTooLarge):
            await stage.publish("news", Note(text="x" * 10_000))
        assert await stage.ask(Desk.question, Question(text="x")) == Answer(text="X")


# --- chains


class Ball(Message):
    """Passed on to and fro."""

    bounces: int = 0


class Player(Actor):
    may = EVERYTHING
    other = ""

    @receive
    async def ball(self, message: Ball, ctx: Context) -> None:
        self.options.append((message.bounces, ctx.correlation_id))
        await ctx.tell(self.other, Ball(bounces=message.bounces + 1))


class Left(Player):
    other = "right"


class Right(Player):
    other = "left"


def player(actor: type[Player], seen: list[tuple[int, str]]) -> ActorSpec:
    return ActorSpec(actor=actor, name=actor.name, cell="main", may=actor.may, options=seen)


async def test_two_who_only_answer_each_other_are_stopped_after_64_messages() -> None:
    seen: list[tuple[int, str]] = []
    async with Stage([player(Left, seen), player(Right, seen)]) as stage:
        await stage.tell(Left, Ball())
        event = await stage.wait_event("handler-failed")
        assert f"is {HOPS_MOST} messages long: the limit" in event.text
    assert [bounce for bounce, _ in seen] == list(range(HOPS_MOST))
    assert len({correlation for _, correlation in seen}) == 1


class Relay(Actor):
    """Asks on, and says how long it could have waited."""

    may = Grant(ask=("desk", "probe"), tell=("probe",), publish=("news",))
    options: Any

    @receive
    async def question(self, message: Question, ctx: Context) -> Answer:
        assert ctx.deadline is not None
        if self.options is not None:
            await self.options.advance(float(message.text))
        return await ctx.ask("probe", Question(text=str(ctx.deadline)), timeout=100.0, reply=Answer)

    @receive
    async def note(self, message: Note, ctx: Context) -> Answer:
        await ctx.tell("probe", Note(text=message.text))
        await ctx.publish("news", Note(text="from relay"))
        return Answer(text=ctx.message_id)


def relay(options: Any = None) -> ActorSpec:
    return ActorSpec(actor=Relay, name="relay", cell="main", may=Relay.may, options=options)


async def test_a_question_asked_in_a_handler_has_only_the_time_that_is_left() -> None:
    clock = ManualClock(now=1000.0)
    deadlines: list[float] = []

    class Listener(Actor):
        name = "probe"

        @receive
        async def question(self, message: Question, ctx: Context) -> Answer:
            deadlines.append(ctx.deadline or 0.0)
            return Answer(text="")

    async with Stage([relay(clock), Listener], clock=clock) as stage:
        await stage.ask(Relay.question, Question(text="4"), timeout=10.0)
        await stage.ask(Relay.question, Question(text="4"), timeout=200.0)
    assert deadlines == [1010.0, 1004.0 + 4.0 + 100.0]


async def test_a_question_asked_after_the_time_is_up_is_not_sent() -> None:
    clock = ManualClock()
    probe = Probe("probe", answers={Question: Answer(text="")})
    async with Stage([relay(clock), probe], clock=clock) as stage:
        # Either the relay is stopped at its own deadline, or it is still there to be told that no time is left.
        with pytest.raises((HandlerFailed, DeadlineExceeded), match=r"no time left|at the deadline"):
            await stage.ask(Relay.question, Question(text="11"), timeout=10.0)
    assert not probe.received


async def test_a_chain_keeps_its_first_message_and_says_who_speaks() -> None:
    probe = Probe("probe", Note)
    async with Stage([relay(), probe]) as stage:
        first = await stage.ask(Relay.note, Note(text="x"))
        await probe.expect(Note)
    [received] = probe.received
    assert (received.sender, received.correlation_id) == ("relay", first.text)
    assert received.message_id != first.text


async def test_trust_only_falls_along_a_chain() -> None:
    probe = Probe("probe", Note, topics={"news": Note})
    spec = msgspec.structs.replace(relay(), open=True)
    async with Stage([spec, probe]) as stage:
        await stage.ask(Relay.note, Note(text="owner"))
        await stage.knock("relay", b'{"type": "Note", "text": "outsider"}')
        await stage.wait_until(lambda: len(probe.received) == 4)
    trust = {received.message: received.trust for received in probe.received}
    assert trust[Note(text="owner")] == Trust.OWNER
    assert trust[Note(text="outsider")] == Trust.EXTERNAL
    assert trust[Note(text="from relay")] == Trust.EXTERNAL  # an event cannot say how far it is believed


async def test_no_answer_in_time_is_an_error_that_names_actor_and_time() -> None:
    class Deaf(Actor):
        @receive
        async def note(self, message: Note, ctx: Context) -> None:
            await anyio.sleep_forever()

    async with Stage([Deaf]) as stage:
        with pytest.raises(DeadlineExceeded, match=r"deaf did not reply within 0\.02 s"):
            await stage.ask(Deaf.note, Note(), timeout=0.02)


class Voice(Speaker):
    """Somebody in a cell who says that it is `name`."""

    def forged(self, **changes: Any) -> bytes:
        head, body = self._prepare(Kind.TELL, course_to("desk", Note), Note())
        note = head.envelope(new_id(), body)
        return msgspec.msgpack.encode(msgspec.structs.replace(note, **changes))


async def test_a_sender_is_believed_only_from_the_cell_it_lives_in() -> None:
    probe = Probe("probe", answers={Note: Answer(text="heard")})
    spy = msgspec.structs.replace(relay(), name="spy", cell="far")
    async with Stage([probe, Desk, spy]) as stage:
        far = stage.cells["far"].endpoint
        assert await Voice(far, "spy").ask("probe", Note(text="honest"), reply=Answer) == Answer(text="heard")
        with pytest.raises(MessageRefused, match="'desk' lives in cell 'main', not in 'far'"):
            await Voice(far, "desk").ask("probe", Note(text="forged"))
        [event] = stage.events_of("message-refused", "probe")
        assert (event.detail["sender"], event.detail["path"]) == ("desk", "$[5]")
    assert [received.sender for received in probe.received] == ["spy"]


async def test_more_trust_than_there_is_cannot_be_claimed() -> None:
    probe = Probe("probe", Note)
    async with Stage([probe]) as stage:
        endpoint = stage.cells["main"].endpoint
        data = Voice(endpoint, "").forged(trust=99)
        endpoint.bus.publish(endpoint.address("probe"), data)
        await probe.expect(Note)
    assert probe.received[0].trust == Trust.OWNER


@pytest.mark.parametrize("kind", [Kind.REPLY, Kind.ERROR, Kind.CREDIT, Kind.NOTICE, 99])
async def test_only_tells_and_asks_go_into_a_mailbox(kind: int) -> None:
    probe = Probe("probe", Note)
    async with Stage([probe]) as stage:
        endpoint = stage.cells["main"].endpoint
        endpoint.bus.publish(endpoint.address("probe"), Voice(endpoint, "").forged(kind=kind))
        await stage.wait_event("message-refused", "probe")
    assert not probe.received


@pytest.mark.parametrize("data", [b"", b"\x00", b"\xc1", b"{}", b"\x91\x01", b"\x92\x90\x90", b"\xdc\xff\xff"])
async def test_bytes_that_are_no_envelope_are_refused_and_counted(data: bytes) -> None:
    probe = Probe("probe", Note)
    async with Stage([probe]) as stage:
        endpoint = stage.cells["main"].endpoint
        endpoint.bus.publish(endpoint.address("probe"), data)
        await stage.wait_event("message-refused", "probe")
        await stage.tell("probe", Note())
        await probe.expect(Note)
