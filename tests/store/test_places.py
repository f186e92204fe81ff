"""Places: bounded, first come first served, none lost when somebody gives up."""

import anyio

from callboard.store.places import Places


async def test_who_waits_longest_has_the_next_place() -> None:
    places, came = Places(1), list[int]()

    async def come(number: int) -> None:
        await places.take()
        came.append(number)

    assert places.take_nowait()
    assert not places.take_nowait()
    async with anyio.create_task_group() as tasks:
        for number in range(3):
            tasks.start_soon(come, number)
        for _ in range(3):
            await anyio.wait_all_tasks_blocked()
            places.give(1)
    assert came == [0, 1, 2]
    assert places.taken == 1


async def test_a_place_given_to_one_who_gives_up_in_that_moment_is_not_lost() -> None:
    places, came = Places(1), list[bool]()

    async def come() -> None:
        await places.take()
        came.append(True)

    assert places.take_nowait()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(come)
        await anyio.wait_all_tasks_blocked()
        places.give(1)
        tasks.cancel_scope.cancel()
    assert places.taken == len(came)


async def test_one_who_gives_up_while_waiting_leaves_the_row() -> None:
    places = Places(1)
    assert places.take_nowait()
    with anyio.move_on_after(0):
        await places.take()
    places.give(1)
    assert places.taken == 0
