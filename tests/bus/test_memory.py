"""The bus in memory fails on request, and repeatably."""

import pytest

from callboard.bus import BusUnavailable, Faults, MemoryBroker

from ..contracts.ear import Ear


async def _sends(broker: MemoryBroker, count: int) -> list[int]:
    """Return what one listener hears of `count` numbered messages."""
    ear = Ear()
    async with broker.bus() as speaker, broker.bus() as listener:
        await listener.subscribe("a", ear.hear)
        for number in range(count):
            speaker.publish("a", str(number).encode())
        await listener.flush()
    return [int(data) for data in ear.data]


async def test_without_faults_everything_arrives_once_and_in_order(memory_broker: MemoryBroker) -> None:
    assert await _sends(memory_broker, 200) == list(range(200))


async def test_messages_are_lost_on_request() -> None:
    assert await _sends(MemoryBroker(faults=Faults(lose=1.0)), 20) == []
    heard = await _sends(MemoryBroker(faults=Faults(lose=0.5), seed=1), 200)
    assert 50 < len(heard) < 150
    assert heard == sorted(heard)


async def test_messages_come_twice_on_request() -> None:
    heard = await _sends(MemoryBroker(faults=Faults(duplicate=1.0)), 20)
    assert heard == [number for number in range(20) for _ in range(2)]


async def test_messages_overtake_on_request_and_none_is_lost() -> None:
    heard = await _sends(MemoryBroker(faults=Faults(reorder=0.5), seed=1), 100)
    assert heard != sorted(heard)
    assert sorted(heard) == list(range(100))


async def test_messages_are_late_on_request() -> None:
    assert await _sends(MemoryBroker(faults=Faults(delay_turns=50)), 20) == list(range(20))


@pytest.mark.parametrize("seed", [0, 1, 7])
async def test_the_same_seed_makes_the_same_faults(seed: int) -> None:
    runs = [
        await _sends(MemoryBroker(faults=Faults(lose=0.3, duplicate=0.3, reorder=0.3), seed=seed), 100)
        for _ in range(2)
    ]
    assert runs[0] == runs[1]


async def test_cut_off_it_refuses_misses_and_comes_back_with_a_gap(memory_broker: MemoryBroker) -> None:
    ear, gaps = Ear(), list[int]()
    async with memory_broker.bus() as speaker, memory_broker.bus() as listener:
        listener.on_gap(lambda: gaps.append(1))
        await listener.subscribe("a", ear.hear)
        listener.disconnect()
        speaker.publish("a", b"missed")
        with pytest.raises(BusUnavailable):
            listener.publish("a", b"")
        assert gaps == []
        listener.reconnect()
        assert gaps == [1]
        speaker.publish("a", b"heard")
        assert await ear.wait(1) == [b"heard"]
        assert listener.statistics().reconnects == 1
