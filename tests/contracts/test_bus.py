"""The promises of ``callboard.bus.interface``, held by each transport."""

from contextlib import AsyncExitStack

import anyio
import pytest

from callboard.bus import Bus, BusClosed, MessageTooLarge
from callboard.errors import CallboardError, WorldError

from .conftest import OpenBus
from .ear import WITHIN, Ear


async def _settled(speaker: Bus, *listeners: Bus) -> None:
    """Wait until all that `speaker` said has reached the receivers of `listeners`."""
    await speaker.flush()
    for listener in listeners:
        await listener.flush()


# --- delivery


async def test_messages_to_one_subject_arrive_in_order_at_each_subscriber(open_bus: OpenBus, fleet: str) -> None:
    ears = Ear(), Ear()
    async with open_bus() as speaker, open_bus() as one, open_bus() as other:
        for bus, ear in zip((one, other), ears, strict=True):
            await bus.subscribe(f"{fleet}.a", ear.hear)
            await bus.flush()
        sent = [str(number).encode() for number in range(3000)]
        for data in sent:
            speaker.publish(f"{fleet}.a", data)
        assert await ears[0].wait(3000) == sent
        assert await ears[1].wait(3000) == sent


async def test_order_holds_across_the_subscriptions_of_one_connection(open_bus: OpenBus, fleet: str) -> None:
    ear = Ear()
    async with open_bus() as speaker, open_bus() as listener:
        await listener.subscribe(f"{fleet}.a", ear.hear)
        await listener.subscribe(f"{fleet}.b", ear.hear)
        await listener.flush()
        sent = [str(number).encode() for number in range(500)]
        for number, data in enumerate(sent):
            speaker.publish(f"{fleet}.{'ab'[number % 2]}", data)
        assert await ear.wait(500) == sent


async def test_a_receiver_is_told_subject_data_and_reply_address(open_bus: OpenBus, fleet: str) -> None:
    ear = Ear()
    data = bytes(range(256)) + b"\r\nPUB x 1\r\n"
    async with open_bus() as speaker, open_bus() as listener:
        await listener.subscribe(f"{fleet}.>", ear.hear)
        await listener.flush()
        speaker.publish(f"{fleet}.a.b", data, reply=f"{speaker.inbox}.7")
        speaker.publish(f"{fleet}.c", b"")
        await ear.wait(2)
        assert ear.heard == [(f"{fleet}.a.b", data, f"{speaker.inbox}.7"), (f"{fleet}.c", b"", "")]


async def test_a_publisher_hears_itself(open_bus: OpenBus, fleet: str) -> None:
    ear = Ear()
    async with open_bus() as bus:
        await bus.subscribe(f"{fleet}.a", ear.hear)
        bus.publish(f"{fleet}.a", b"me")
        assert await ear.wait(1) == [b"me"]


async def test_of_a_queue_group_exactly_one_gets_each_message(open_bus: OpenBus, fleet: str) -> None:
    members, watcher, other = (Ear(), Ear(), Ear()), Ear(), Ear()
    async with AsyncExitStack() as stack:
        speaker, *buses = [await stack.enter_async_context(open_bus()) for _ in range(6)]
        for bus, ear in zip(buses, members, strict=False):
            await bus.subscribe(f"{fleet}.a", ear.hear, queue="workers")
        await buses[3].subscribe(f"{fleet}.a", watcher.hear)
        await buses[4].subscribe(f"{fleet}.a", other.hear, queue="others")
        for bus in buses:
            await bus.flush()
        sent = [str(number).encode() for number in range(300)]
        for data in sent:
            speaker.publish(f"{fleet}.a", data)
        await _settled(speaker, *buses)
        assert sorted(members[0].data + members[1].data + members[2].data) == sorted(sent)
        assert all(ear.data for ear in members), "nobody of the group is left out for ever"
        assert watcher.data == sent
        assert other.data == sent


async def test_a_message_that_nobody_takes_comes_back_empty_at_once(open_bus: OpenBus, fleet: str) -> None:
    ear = Ear()
    async with open_bus() as bus:
        await bus.subscribe(f"{bus.inbox}.n.*", ear.hear)
        bus.publish(f"{fleet}.nobody", b"hello", reply=f"{bus.inbox}.n.1")
        await ear.wait(1, within=0.5)
        assert ear.heard == [(f"{bus.inbox}.n.1", b"", "")]


async def test_a_message_that_somebody_takes_does_not_come_back(open_bus: OpenBus, fleet: str) -> None:
    back, ear = Ear(), Ear()
    async with open_bus() as bus, open_bus() as listener:
        await listener.subscribe(f"{fleet}.*", ear.hear, queue="q")
        await bus.subscribe(f"{bus.inbox}.n.*", back.hear)
        await listener.flush()
        bus.publish(f"{fleet}.somebody", b"hello", reply=f"{bus.inbox}.n.1")
        await ear.wait(1)
        await _settled(bus, bus)
        assert back.heard == []


@pytest.mark.parametrize(
    ("pattern", "heard"),
    [
        ("a.*.c", ["a.b.c", "a.x.c"]),
        ("a.>", ["a.b.c", "a.x.c", "a.b", "a.q.d.c"]),
        ("a.b", ["a.b"]),
        ("*.b", ["a.b", "z.b"]),
    ],
)
async def test_a_subscription_hears_what_its_wildcards_cover(
    open_bus: OpenBus, fleet: str, pattern: str, heard: list[str]
) -> None:
    ear = Ear()
    async with open_bus() as speaker, open_bus() as listener:
        await listener.subscribe(f"{fleet}.{pattern}", ear.hear)
        await listener.flush()
        for subject in ("a.b.c", "a.x.c", "a", "a.b", "z.b", "a.q.d.c"):
            speaker.publish(f"{fleet}.{subject}", b"")
        await _settled(speaker, listener)
        assert [subject.removeprefix(f"{fleet}.") for subject, _, _ in ear.heard] == heard


async def test_after_unsubscribe_nothing_more_is_heard_and_others_still_hear(open_bus: OpenBus, fleet: str) -> None:
    gone, stays = Ear(), Ear()
    async with open_bus() as speaker, open_bus() as listener:
        subscription = await listener.subscribe(f"{fleet}.a", gone.hear)
        await listener.subscribe(f"{fleet}.a", stays.hear)
        await listener.flush()
        speaker.publish(f"{fleet}.a", b"1")
        await gone.wait(1)
        await subscription.unsubscribe()
        speaker.publish(f"{fleet}.a", b"2")
        await stays.wait(2)
        assert gone.data == [b"1"]


async def test_of_what_was_said_before_an_interest_ends_each_reaches_somebody(open_bus: OpenBus, fleet: str) -> None:
    """Whoever hands an address on to another in the same queue loses nothing, also of what it says there itself."""
    leaves, stays = Ear(), Ear()
    async with open_bus() as bus, open_bus() as other:
        await other.subscribe(f"{fleet}.a", stays.hear, queue="q")
        await other.flush()
        for number in range(100):
            subscription = await bus.subscribe(f"{fleet}.a", leaves.hear, queue="q")
            bus.publish(f"{fleet}.a", str(number).encode())
            await subscription.unsubscribe()
        await _settled(bus, other)
        assert sorted(map(int, leaves.data + stays.data)) == list(range(100))


async def test_unsubscribing_the_last_one_makes_the_subject_nobodys(open_bus: OpenBus, fleet: str) -> None:
    back = Ear()
    async with open_bus() as bus, open_bus() as listener:
        await bus.subscribe(f"{bus.inbox}.n.*", back.hear)
        subscription = await listener.subscribe(f"{fleet}.a", Ear().hear)
        await subscription.unsubscribe()
        await listener.flush()
        bus.publish(f"{fleet}.a", b"", reply=f"{bus.inbox}.n.9")
        await back.wait(1, within=0.5)


async def test_unsubscribing_twice_is_no_error(open_bus: OpenBus, fleet: str) -> None:
    async with open_bus() as bus:
        subscription = await bus.subscribe(f"{fleet}.a", Ear().hear)
        await subscription.unsubscribe()
        await subscription.unsubscribe()


async def test_inboxes_are_of_one_connection_and_not_to_be_guessed(open_bus: OpenBus) -> None:
    async with open_bus() as one, open_bus() as other:
        assert one.inbox != other.inbox
        assert one.inbox.startswith("_CB.")
        assert len(one.inbox) == len("_CB.") + 32


# --- receivers


async def test_a_receiver_that_raises_is_counted_and_does_not_end_the_reader(open_bus: OpenBus, fleet: str) -> None:
    ear = Ear()

    def picky(subject: str, data: bytes, reply: str) -> None:
        if data == b"bad":
            raise RuntimeError("cannot stand it")
        ear.hear(subject, data, reply)

    async with open_bus() as speaker, open_bus() as listener:
        await listener.subscribe(f"{fleet}.a", picky)
        await listener.flush()
        for data in (b"1", b"bad", b"2", b"bad", b"3"):
            speaker.publish(f"{fleet}.a", data)
        assert await ear.wait(3) == [b"1", b"2", b"3"]
        assert listener.statistics().refused == 2
        await listener.flush()


async def test_a_receiver_may_publish(open_bus: OpenBus, fleet: str) -> None:
    ear = Ear()
    async with open_bus() as speaker, open_bus() as answerer:

        def answer(_subject: str, data: bytes, reply: str) -> None:
            answerer.publish(reply, data * 2)

        await speaker.subscribe(f"{speaker.inbox}.r", ear.hear)
        await answerer.subscribe(f"{fleet}.a", answer)
        await answerer.flush()
        for number in range(100):
            speaker.publish(f"{fleet}.a", str(number).encode(), reply=f"{speaker.inbox}.r")
        assert await ear.wait(100) == [str(number).encode() * 2 for number in range(100)]


async def test_a_receiver_is_not_entered_while_it_runs(open_bus: OpenBus, fleet: str) -> None:
    ear = Ear()
    inside: list[bytes] = []
    overlapped: list[bytes] = []
    async with open_bus() as bus:

        def echo(subject: str, data: bytes, reply: str) -> None:
            overlapped.extend(inside)
            inside.append(data)
            if len(data) < 5:
                bus.publish(subject, data + b"x")
            inside.pop()
            ear.hear(subject, data, reply)

        await bus.subscribe(f"{fleet}.a", echo)
        bus.publish(f"{fleet}.a", b"")
        assert await ear.wait(6) == [b"x" * count for count in range(6)]
        assert overlapped == []


# --- limits, counts and round trips


async def test_what_the_server_would_not_take_raises_and_the_bus_goes_on(open_bus: OpenBus, fleet: str) -> None:
    ear = Ear()
    async with open_bus() as bus:
        await bus.subscribe(f"{fleet}.a", ear.hear)
        with pytest.raises(MessageTooLarge) as error:
            bus.publish(f"{fleet}.a", bytes(bus.max_payload + 1))
        assert error.value.detail == {"size": bus.max_payload + 1, "limit": bus.max_payload}
        bus.publish(f"{fleet}.a", bytes(bus.max_payload))
        await ear.wait(1)
        assert [len(data) for data in ear.data] == [bus.max_payload]


@pytest.mark.parametrize("bad", ["", "a b", "a\r\nPUB b 0\r\n", "a\tb", "a\x0bb", "a\x0cb", "a\x00b", "a\ud800b"])
async def test_a_subject_that_would_break_the_protocol_raises_and_the_bus_goes_on(
    open_bus: OpenBus, fleet: str, bad: str
) -> None:
    """Reply addresses come from peers: whatever stands in them may cost one message, never the connection."""
    ear = Ear()
    async with open_bus() as bus:
        await bus.subscribe(f"{fleet}.a", ear.hear)
        with pytest.raises(CallboardError):
            bus.publish(bad, b"")
        if bad:
            with pytest.raises(CallboardError):
                bus.publish(f"{fleet}.a", b"", reply=bad)
        bus.publish(f"{fleet}.a", b"still here")
        assert await ear.wait(1) == [b"still here"]
        assert bus.statistics().reconnects == 0


@pytest.mark.parametrize("bad", ["f.*.b", "f.>", "*", ">"])
async def test_nothing_is_published_to_a_wildcard(open_bus: OpenBus, bad: str) -> None:
    async with open_bus() as bus:
        with pytest.raises(CallboardError):
            bus.publish(bad, b"")


async def test_flush_returns_when_the_broker_knows_all_that_was_said(open_bus: OpenBus, fleet: str) -> None:
    ear = Ear()
    async with open_bus() as speaker, open_bus() as listener:
        for number in range(20):
            subscription = await listener.subscribe(f"{fleet}.{number}", ear.hear)
            await listener.flush()
            speaker.publish(f"{fleet}.{number}", b"")
            await _settled(speaker, listener)
            assert len(ear.heard) == number + 1
            await subscription.unsubscribe()


async def test_a_flush_that_is_given_up_does_no_harm(open_bus: OpenBus, fleet: str) -> None:
    ear = Ear()
    async with open_bus() as bus:
        await bus.subscribe(f"{fleet}.a", ear.hear)
        with anyio.move_on_after(0):
            await bus.flush()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bus.flush)
            await anyio.lowlevel.checkpoint()
            await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        bus.publish(f"{fleet}.a", b"1")
        await ear.wait(1)
        await bus.flush()


async def test_settle_returns_and_nothing_is_congested(open_bus: OpenBus, fleet: str) -> None:
    async with open_bus() as bus:
        for _ in range(3):
            bus.publish(f"{fleet}.a", bytes(700_000))
        with anyio.fail_after(WITHIN):
            await bus.settle()
        assert not bus.congested
        assert bus.statistics().pending_bytes == 0


async def test_statistics_count_messages(open_bus: OpenBus, fleet: str) -> None:
    ear = Ear()
    async with open_bus() as bus:
        await bus.subscribe(f"{fleet}.a", ear.hear)
        before = bus.statistics()
        for _ in range(10):
            bus.publish(f"{fleet}.a", b"")
        await ear.wait(10)
        after = bus.statistics()
        assert after.sent - before.sent == 10
        assert after.received - before.received == 10
        assert (after.refused, after.reconnects) == (0, 0)


# --- the end


async def test_a_closed_bus_says_why_and_refuses(open_bus: OpenBus, fleet: str) -> None:
    async with open_bus() as bus:
        pass
    with anyio.fail_after(WITHIN):
        assert await bus.wait_closed() == "closed by its owner"
    with pytest.raises(BusClosed, match="closed by its owner"):
        bus.publish(f"{fleet}.a", b"")
    with pytest.raises(BusClosed):
        await bus.subscribe(f"{fleet}.a", Ear().hear)
    with pytest.raises(WorldError):
        await bus.flush()
    with anyio.fail_after(WITHIN):
        await bus.settle()


async def test_who_waits_for_the_end_is_woken(open_bus: OpenBus) -> None:
    reasons: list[str] = []

    async def wait(bus: Bus) -> None:
        reasons.append(await bus.wait_closed())

    async with anyio.create_task_group() as tasks, open_bus() as bus:
        tasks.start_soon(wait, bus)
        await anyio.wait_all_tasks_blocked()
        assert reasons == []
    assert reasons == ["closed by its owner"]


async def test_what_was_said_just_before_the_end_is_delivered(open_bus: OpenBus, fleet: str) -> None:
    ear = Ear()
    async with open_bus() as listener:
        await listener.subscribe(f"{fleet}.a", ear.hear)
        await listener.flush()
        async with open_bus() as speaker:
            for number in range(100):
                speaker.publish(f"{fleet}.a", str(number).encode())
        assert len(await ear.wait(100)) == 100


async def test_a_closed_bus_has_no_interests_left(open_bus: OpenBus, fleet: str) -> None:
    back = Ear()
    async with open_bus() as bus:
        await bus.subscribe(f"{bus.inbox}.n.*", back.hear)
        async with open_bus() as listener:
            subscription = await listener.subscribe(f"{fleet}.a", Ear().hear)
            await listener.flush()
        await subscription.unsubscribe()
        with anyio.fail_after(WITHIN):
            while not back.heard:  # the server sees the end of the other connection in its own time
                bus.publish(f"{fleet}.a", b"", reply=f"{bus.inbox}.n.1")
                await bus.flush()


async def test_an_error_in_the_block_leaves_as_it_is(open_bus: OpenBus) -> None:
    with pytest.raises(KeyError):
        async with open_bus():
            raise KeyError("of the user")
