"""The gate lets one pass at a time, actors in turn, and survives who goes away."""

import anyio
import pytest

from callboard.actors.llm.calls.gate import Gate

pytestmark = pytest.mark.anyio


async def test_an_actor_with_one_call_does_not_wait_for_all_calls_of_another() -> None:
    gate, order = Gate(), list[str]()
    begin = anyio.Event()

    async def call(actor: str) -> None:
        await begin.wait()
        async with gate.pass_through(actor):
            order.append(actor)
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        for actor in [*["many"] * 20, "few", "other"]:
            tasks.start_soon(call, actor)
        await anyio.wait_all_tasks_blocked()
        begin.set()
    assert order.index("few") <= 3
    assert order.index("other") <= 3
    assert len(order) == 22


async def test_one_at_a_time() -> None:
    gate, inside = Gate(), 0

    async def call(actor: str) -> None:
        nonlocal inside
        async with gate.pass_through(actor):
            inside += 1
            assert inside == 1
            await anyio.lowlevel.checkpoint()
            inside -= 1

    async with anyio.create_task_group() as tasks:
        for number in range(50):
            tasks.start_soon(call, f"actor-{number % 7}")


@pytest.mark.parametrize("which", range(5))
async def test_who_goes_away_while_waiting_or_at_its_turn_leaves_the_gate_to_the_next(which: int) -> None:
    gate, passed = Gate(), list[int]()
    scopes = [anyio.CancelScope() for _ in range(5)]

    async def call(number: int) -> None:
        with scopes[number]:
            async with gate.pass_through("one"):
                await anyio.lowlevel.checkpoint()
                passed.append(number)

    async with anyio.create_task_group() as tasks:
        for number in range(5):
            tasks.start_soon(call, number)
        await anyio.lowlevel.checkpoint()
        scopes[which].cancel()
    with anyio.fail_after(1.0):
        async with gate.pass_through("one"):
            pass
    assert set(passed) | {which} == set(range(5))
    assert gate.waiting == 0
