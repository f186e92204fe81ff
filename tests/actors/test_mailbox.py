"""The mailbox: bounded, in order, and nobody's letter is lost when a taker gives up."""

import anyio
import anyio.lowlevel
import msgspec
import pytest

from callboard.actors import Letter, Mailbox
from callboard.actors.mailbox import NOTICES_MOST
from callboard.bus import VERSION, Envelope, Kind


def letter(name: str, *, size: int = 1) -> Letter:
    return Letter(Envelope(VERSION, Kind.TELL, "Note", 0, name, ""), "main", 1, size)


def names(letters: list[Letter]) -> list[str]:
    return [each.envelope.id for each in letters]


class Takers:
    """Tasks that each take once and note what they got."""

    def __init__(self, mailbox: Mailbox) -> None:
        self.mailbox = mailbox
        self.got: list[tuple[str, str | None]] = []
        self.scopes: dict[str, anyio.CancelScope] = {}

    async def take(self, who: str) -> None:
        with anyio.CancelScope() as scope:
            self.scopes[who] = scope
            taken = await self.mailbox.take()
            self.got.append((who, None if taken is None else taken.envelope.id))


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await anyio.lowlevel.checkpoint()


async def test_first_in_first_out() -> None:
    mailbox = Mailbox()
    for name in "abc":
        assert mailbox.put(letter(name))
    assert [(await mailbox.take() or letter("none")).envelope.id for _ in range(3)] == ["a", "b", "c"]


async def test_it_is_full_after_so_many_letters() -> None:
    mailbox = Mailbox(most=2)
    assert [mailbox.put(letter(name)) for name in "abc"] == [True, True, False]
    await mailbox.take()
    assert mailbox.put(letter("d"))
    assert mailbox.statistics() == type(mailbox.statistics())(depth=2, bytes=2, refused=1, taken=1)


async def test_it_is_full_after_so_many_bytes() -> None:
    mailbox = Mailbox(most_bytes=10)
    assert mailbox.put(letter("a", size=6))
    assert not mailbox.put(letter("b", size=5))
    assert mailbox.put(letter("c", size=4))
    await mailbox.take()
    assert mailbox.statistics().bytes == 4
    assert mailbox.put(letter("d", size=6))


async def test_those_who_wait_are_served_in_the_order_in_which_they_came() -> None:
    mailbox = Mailbox()
    takers = Takers(mailbox)
    async with anyio.create_task_group() as tasks:
        for who in "xyz":
            tasks.start_soon(takers.take, who)
            await turns()
        for name in "abc":
            mailbox.put(letter(name))
    assert takers.got == [("x", "a"), ("y", "b"), ("z", "c")]


async def test_one_who_was_woken_and_is_cancelled_passes_the_letter_on() -> None:
    mailbox = Mailbox()
    takers = Takers(mailbox)
    async with anyio.create_task_group() as tasks:
        for who in "xy":
            tasks.start_soon(takers.take, who)
            await turns()
        takers.scopes["x"].cancel()  # takes effect at its next turn ...
        mailbox.put(letter("a"))  # ... and until then x is still the one to wake
        with anyio.fail_after(1):
            while not takers.got:
                await anyio.lowlevel.checkpoint()
    assert takers.got == [("y", "a")]


async def test_one_who_waits_and_is_cancelled_is_forgotten() -> None:
    mailbox = Mailbox()
    takers = Takers(mailbox)
    async with anyio.create_task_group() as tasks:
        for who in "xy":
            tasks.start_soon(takers.take, who)
            await turns()
        takers.scopes["x"].cancel()
        await turns()
        mailbox.put(letter("a"))
    assert takers.got == [("y", "a")]


async def test_a_pause_takes_letters_in_and_gives_none_out() -> None:
    mailbox = Mailbox()
    takers = Takers(mailbox)
    mailbox.pause()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(takers.take, "x")
        assert mailbox.put(letter("a"))
        mailbox.put_notice(letter("first"))
        await turns()
        assert not takers.got
        mailbox.resume()
    assert takers.got == [("x", "first")]


async def test_rotate_puts_the_newer_ones_behind_the_older() -> None:
    mailbox = Mailbox()
    for name in ("new-1", "new-2", "old-1", "old-2", "old-3"):
        mailbox.put(letter(name))
    mailbox.rotate(2)
    assert names(mailbox.close()) == ["old-1", "old-2", "old-3", "new-1", "new-2"]


async def test_notices_come_first_and_in_their_own_order() -> None:
    mailbox = Mailbox(most=1)
    assert mailbox.put(letter("c"))
    assert mailbox.put_notice(letter("a"))
    assert mailbox.put_notice(letter("b"))
    taken = [mailbox.take_nowait() for _ in range(4)]
    assert names([each for each in taken if each]) == ["a", "b", "c"]


async def test_notices_are_bounded_and_end_with_the_mailbox() -> None:
    mailbox = Mailbox()
    assert all(mailbox.put_notice(letter("n")) for _ in range(NOTICES_MOST))
    assert not mailbox.put_notice(letter("n"))
    mailbox.close()
    assert not mailbox.put_notice(letter("n"))
    assert mailbox.take_nowait() is None


async def test_a_letter_can_be_taken_out_by_its_id() -> None:
    mailbox = Mailbox(most_bytes=10)
    for name in "abc":
        mailbox.put(letter(name, size=3))
    removed = mailbox.remove("b")
    assert removed is not None
    assert removed.envelope.id == "b"
    assert mailbox.remove("b") is None
    assert mailbox.ids() == {"a", "c"}
    assert mailbox.statistics().bytes == 6


async def test_closing_wakes_all_and_returns_what_waited() -> None:
    mailbox = Mailbox()
    takers = Takers(mailbox)
    async with anyio.create_task_group() as tasks:
        for who in "xy":
            tasks.start_soon(takers.take, who)
        await turns()
        assert mailbox.close() == []
    assert takers.got == [("x", None), ("y", None)]
    assert not mailbox.put(letter("a"))
    assert await mailbox.take() is None
    mailbox.reopen()
    assert mailbox.put(letter("b"))
    assert names(mailbox.close()) == ["b"]


async def test_a_paused_mailbox_can_be_closed() -> None:
    mailbox = Mailbox()
    mailbox.pause()
    mailbox.put(letter("a"))
    assert names(mailbox.close()) == ["a"]
    assert await mailbox.take() is None


@pytest.mark.parametrize("takers_count", [1, 4])
async def test_each_letter_is_taken_once(takers_count: int) -> None:
    mailbox = Mailbox()
    taken: list[str] = []

    async def take_all() -> None:
        while (got := await mailbox.take()) is not None:
            taken.append(got.envelope.id)
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        for _ in range(takers_count):
            tasks.start_soon(take_all)
        for number in range(50):
            mailbox.put(letter(str(number)))
            if number % 7 == 0:
                await anyio.lowlevel.checkpoint()
        with anyio.fail_after(1):
            while len(mailbox):
                await anyio.lowlevel.checkpoint()
        mailbox.close()
    assert taken == [str(number) for number in range(50)]


def test_a_letter_is_a_value() -> None:
    assert letter("a") == msgspec.structs.replace(letter("a"))
