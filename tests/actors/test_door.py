"""The front door and the topics: what comes from outside, and how often."""

import json

import msgspec
import pytest

from callboard import Actor, ActorSpec, Context, Held, MailboxFull, Message, MessageRefused, Untrusted, receive
from callboard.actors import DoorLimits, Speaker
from callboard.actors.door import BARE_MOST
from callboard.bus import VERSION, Endpoint, Envelope, Kind, NoticeBody, Trust, encode, join
from callboard.ids import new_id
from callboard.testing import ManualClock, Probe, Stage


class Question(Message):
    text: Untrusted[str]


class Answer(Message):
    text: str
    trust: int


class News(Message):
    text: str = ""


class Desk(Actor):
    @receive
    async def question(self, message: Question, ctx: Context) -> Answer:
        assert ctx.sender == ""
        return Answer(text=message.text.upper(), trust=ctx.trust)


OPEN = ActorSpec(actor=Desk, name="desk", cell="main", open=True)


async def test_an_outsider_speaks_json_and_is_answered_in_json() -> None:
    async with Stage([OPEN]) as stage:
        reply = await stage.knock("desk", b' {"type": "Question", "text": "a"}')
        assert json.loads(reply) == {"type": "Answer", "text": "A", "trust": Trust.EXTERNAL}


async def test_an_outsider_speaks_msgpack_and_is_answered_in_msgpack() -> None:
    async with Stage([OPEN]) as stage:
        reply = await stage.knock("desk", msgspec.msgpack.encode(Question(text="a")))
        assert msgspec.msgpack.decode(reply) == {"type": "Answer", "text": "A", "trust": Trust.EXTERNAL}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'{"type": "Question", "text": "a", "more": 1}', "unknown field `more`"),
        (b'{"type": "Question", "text": 1}', "$.text"),
        (b'{"type": "Other"}', "desk takes Question, not 'Other'"),
        (b'{"text": "a"}', "type"),
        (b'{"type": "Question", "text": "\xff"}', ""),
        (b"{" * 3000, ""),
        (b'{"type":' + b"[" * 3000, ""),
        (b'{"type": "Question", "text": "' + b"x" * BARE_MOST + b'"}', f"a bare message may have {BARE_MOST}"),
    ],
)
async def test_what_does_not_fit_is_refused_with_a_typed_error(data: bytes, said: str) -> None:
    async with Stage([OPEN]) as stage:
        reply = json.loads(await stage.knock("desk", data))
        assert (reply["type"], reply["code"]) == ("Error", MessageRefused.code)
        assert said in reply["text"]
        assert stage.events_of("message-refused", "desk")[0].detail["sender"] == "outside"
        assert stage.row("desk").handled == 0


@pytest.mark.parametrize("data", [b"", b"hello", b"\x91\x01", b"\x9f", b"\xdc\x00\x01\x01", b"\xc0"])
async def test_what_is_no_map_is_refused_at_the_front_door_envelopes_too(data: bytes) -> None:
    async with Stage([OPEN]) as stage:
        reply = msgspec.msgpack.decode(await stage.knock("desk", data))
        assert reply["code"] == MessageRefused.code


async def test_an_actor_that_is_not_open_has_no_front_door() -> None:
    async with Stage([Desk]) as stage:
        assert await stage.knock("desk", b'{"type": "Question", "text": "a"}') == b""  # nobody home, as the server says


async def test_an_outsider_hears_that_an_actor_is_held() -> None:
    async with Stage([OPEN]) as stage:
        stage.cell_of("desk").hold("desk", why="a test")
        assert json.loads(await stage.knock("desk", b'{"type": "Question", "text": "a"}'))["code"] == Held.code


async def test_an_outsider_hears_that_a_mailbox_is_full() -> None:
    spec = msgspec.structs.replace(OPEN, mailbox=0)
    async with Stage([spec]) as stage:
        reply = json.loads(await stage.knock("desk", b'{"type": "Question", "text": "a"}'))
        assert (reply["code"], reply["detail"]["depth"]) == (MailboxFull.code, 0)


async def test_a_crowd_at_the_door_is_turned_away_with_when_to_come_again_and_a_cell_is_not() -> None:
    clock = ManualClock()
    spec = ActorSpec(actor=Desk, name="desk", cell="main", open=True, door=DoorLimits(rate=1.0, burst=2))
    async with Stage([spec], clock=clock) as stage:
        told = [json.loads(await stage.knock("desk", b'{"type": "Question", "text": "a"}')) for _ in range(3)]
        assert [each["type"] for each in told] == ["Answer", "Answer", "Error"]
        assert (told[2]["code"], told[2]["detail"]["wait"]) == ("door-crowded", 1.0)
        assert (await stage.ask(Desk.question, Question(text="a"))).text == "A"
        await clock.advance(1.0)
        assert json.loads(await stage.knock("desk", b'{"type": "Question", "text": "a"}'))["type"] == "Answer"


@pytest.mark.parametrize("address", ["cb.stage.to.desk.main", "_CB.somebody.r", "$SYS.REQ"])
async def test_an_outsider_cannot_have_the_answer_sent_into_the_fleet(address: str) -> None:
    heard: list[str] = []
    async with Stage([OPEN]) as stage:
        bus = stage.buses["stage-caller"]
        await bus.subscribe(address, lambda subject, _data, _reply: heard.append(subject))
        bus.publish("cb.stage.to.desk", b'{"type": "Question", "text": "a"}', reply=address)
        await stage.wait_until(lambda: stage.row("desk").handled == 1)
        await stage.knock("desk", b'{"type": "Question", "text": "a"}')
    assert heard == []


async def test_an_event_reaches_each_actor_once_whatever_its_replicas() -> None:
    one, two = Probe("one", topics={"news": News}), Probe("two", topics={"news": News})
    pool = msgspec.structs.replace(one.spec, replicas=3)
    async with Stage([pool, two]) as stage:
        for number in range(20):
            await stage.publish("news", News(text=str(number)))
        await stage.wait_until(lambda: len(one.received) >= 20 and len(two.received) >= 20)
        await stage.publish("news", News(text="last"))
        await stage.wait_until(lambda: len(one.received) >= 21)
    expected = [News(text=str(number)) for number in range(20)] + [News(text="last")]
    assert sorted(one.messages, key=str) == sorted(expected, key=str)
    assert two.messages == expected


async def test_while_two_incarnations_overlap_an_event_reaches_one_of_them() -> None:
    probe = Probe("probe", topics={"news": News})
    far = msgspec.structs.replace(Probe("other", Question).spec, cell="far")
    async with Stage([probe, far]) as stage:
        await stage.cells["far"].add(probe.spec)
        for number in range(20):
            await stage.publish("news", News(text=str(number)))
        await stage.wait_until(lambda: len(probe.received) >= 20)
        for cell in stage.cells.values():
            await stage.wait_until(lambda: cell.hosts["probe"].row().depth == 0)  # noqa: B023 - waited for at once
    assert len(probe.received) == 20


async def test_an_event_comes_from_nobody_and_begins_a_chain() -> None:
    probe = Probe("probe", topics={"news": News})
    async with Stage([probe]) as stage:
        await stage.publish("news", News(text="a"))
        assert await probe.expect(News) == News(text="a")
    [received] = probe.received
    assert (received.sender, received.trust) == ("", Trust.EXTERNAL)
    assert received.correlation_id == received.message_id


async def test_an_event_that_does_not_fit_is_refused_and_counted() -> None:
    probe = Probe("probe", topics={"news": News})
    async with Stage([probe]) as stage:
        await stage.publish("news", Question(text="a"))
        event = await stage.wait_event("message-refused", "probe")
        assert "probe takes News, not 'Question'" in event.text
        await stage.publish("news", News(text="b"))
        await probe.expect(News)


async def test_an_event_is_no_direct_message_and_the_other_way_round() -> None:
    probe = Probe("probe", Question, topics={"news": News})
    async with Stage([probe]) as stage:
        with pytest.raises(MessageRefused, match="probe takes Question, not 'News'"):
            await stage.ask("probe", News())
        await stage.tell("probe", Question(text="a"))
        await probe.expect(Question)


async def test_a_process_that_was_replaced_may_say_nothing_any_more() -> None:
    """A stopped process that goes on after its replacement began: what it tells and asks is refused, and recorded."""
    probe = Probe("probe", News)
    async with Stage([probe]) as stage, stage.broker.bus() as bus:
        async with Endpoint(bus, fleet="stage", cell="desk", clock=stage.clock, epoch=1) as old:
            zombie = Speaker(old, "writer")
            await zombie.tell("probe", News(text="before"))
            await probe.expect(News)
            fence = NoticeBody("writer", "fence", epoch=2, cell="desk")
            hearer = stage.cells["main"].endpoint
            old.notify(fence)  # nobody but the daemon can know it
            async with (
                stage.broker.bus() as other,
                Endpoint(other, fleet="stage", cell="daemon", clock=stage.clock) as daemon,
            ):
                daemon.notify(msgspec.structs.replace(fence, epoch=2))
                await stage.wait_until(lambda: hearer.fences == {"desk": 2})
            await zombie.tell("probe", News(text="after"))
            event = await stage.wait_event("message-refused", "probe")
            assert "process 1 of cell 'desk' was replaced by process 2" in event.text
            with pytest.raises(MessageRefused, match="it may say nothing"):
                await zombie.ask("probe", News(text="after"), timeout=5.0)
        async with Endpoint(bus, fleet="stage", cell="desk", clock=stage.clock, epoch=2) as new:
            await Speaker(new, "writer").tell("probe", News(text="from the next"))
            assert await probe.expect(News) == News(text="from the next")
    assert [message for message in probe.messages if message == News(text="after")] == []


@pytest.mark.parametrize("kind", [Kind.HOLDS, Kind.STATUS, 99])
async def test_a_bad_control_message_costs_itself_alone_in_its_frame(kind: int) -> None:
    probe = Probe("probe", News)
    async with Stage([probe]) as stage:
        endpoint = stage.cells["main"].endpoint
        raw = msgspec.Raw(encode(7))
        bad = Envelope(VERSION, kind, "", 0, new_id(), "", reply=endpoint.inbox, body=raw)
        good = Envelope(VERSION, Kind.TELL, "News", 0, new_id(), "", body=msgspec.Raw(encode(News(text="after it"))))
        endpoint.bus.publish(endpoint.address("probe"), join([encode(bad), encode(good)]))
        assert await probe.expect(News) == News(text="after it")
        await stage.wait_event("message-refused", "probe")
