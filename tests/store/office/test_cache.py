"""Answers that were given before: found until they expire, bounded, dropped where they turned out badly."""

from pathlib import Path

import pytest

from callboard.store.office import Cached, OfficeFile
from callboard.store.office.cache import NOTED_MOST, ROW

from ...manual_clock import ManualClock
from .purse import entry, opened, rows, wrong

pytestmark = pytest.mark.anyio


def answer(key: str, body: bytes = b"yes", *, lives: float = 1e9, actor: str = "a", tenant: str = "") -> Cached:
    made = 1_700_000_000.0
    return Cached(key=key.encode(), actor=actor, tenant=tenant, body=body, made=made, expires=made + lives)


def room_for(count: int, body: int) -> int:
    return count * answer("k0", b"x" * body).size


async def there(office: OfficeFile) -> list[str]:
    return [key.decode() for (key,) in await rows(office, "SELECT key FROM cache ORDER BY key")]


async def test_an_answer_is_found_as_it_was_put_also_after_it_was_opened_again(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with opened(tmp_path, clock) as office:
        assert await office.cached(b"k") is None
        assert await office.put_cached(answer("k", b"\x00\xff", tenant="t"))
    async with opened(tmp_path, clock) as office:
        assert await office.cached(b"k") == answer("k", b"\x00\xff", tenant="t")


async def test_a_later_answer_takes_the_place_of_the_one_before(tmp_path: Path, clock: ManualClock) -> None:
    async with opened(tmp_path, clock) as office:
        await office.put_cached(answer("k", b"x" * 1000))
        await office.put_cached(answer("k", b"new"))
        found = await office.cached(b"k")
        assert found is not None
        assert found.body == b"new"
        assert await office.db.read(wrong) == []


async def test_an_expired_answer_is_none_and_is_swept(tmp_path: Path, clock: ManualClock) -> None:
    async with opened(tmp_path, clock) as office:
        for at in range(1200):
            await office.put_cached(answer(f"k{at}", lives=10.0))
        await office.put_cached(answer("kept", lives=float("inf")))
        await clock.advance(9.9)
        assert await office.cached(b"k1") is not None
        await clock.advance(0.1)
        assert await office.cached(b"k1") is None
        assert (await office.sweep()).answers == 1200, "in portions, to the end"
        assert await there(office) == ["kept"]
        assert await office.db.read(wrong) == []


async def test_the_least_recently_used_make_room(tmp_path: Path, clock: ManualClock) -> None:
    async with opened(tmp_path, clock, most_bytes=room_for(3, 100)) as office:
        for key in ("k1", "k2", "k3"):
            await office.put_cached(answer(key, b"x" * 100))
        assert await office.cached(b"k1") is not None
        await office.put_cached(answer("k4", b"x" * 100))
        assert await there(office) == ["k1", "k3", "k4"]
        await office.put_cached(answer("k5", b"x" * 300))
        assert await there(office) == ["k4", "k5"], "as many go as need to"
        assert await office.db.read(wrong) == []


async def test_the_order_of_use_outlives_an_opening(tmp_path: Path, clock: ManualClock) -> None:
    async with opened(tmp_path, clock, most_bytes=room_for(3, 100)) as office:
        for key in ("k1", "k2", "k3"):
            await office.put_cached(answer(key, b"x" * 100))
        assert await office.cached(b"k1") is not None
    async with opened(tmp_path, clock, most_bytes=room_for(3, 100)) as office:
        await office.put_cached(answer("k4", b"x" * 100))
        assert await there(office) == ["k1", "k3", "k4"]
        await office.put_cached(answer("k5", b"x" * 100))
        assert await there(office) == ["k1", "k4", "k5"]


async def test_an_answer_above_all_room_is_not_kept_and_costs_no_other_its_place(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with opened(tmp_path, clock, most_bytes=room_for(2, 100)) as office:
        await office.put_cached(answer("k1", b"x" * 100))
        assert not await office.put_cached(answer("k2", b"x" * (200 + ROW * 2)))
        assert await there(office) == ["k1"]


async def test_a_hit_writes_nothing_until_there_are_many(tmp_path: Path, clock: ManualClock) -> None:
    async with opened(tmp_path, clock) as office:
        for at in range(NOTED_MOST):
            await office.put_cached(answer(f"k{at}"))
        changes = await office.db.read(lambda conn: conn.total_changes)
        for at in range(NOTED_MOST - 1):
            await office.cached(f"k{at}".encode())
        assert await office.db.read(lambda conn: conn.total_changes) == changes
        await office.cached(f"k{NOTED_MOST - 1}".encode())
        assert await office.db.read(lambda conn: conn.total_changes) == changes + NOTED_MOST


async def test_a_bad_outcome_drops_what_a_message_made_and_was_given(tmp_path: Path, clock: ManualClock) -> None:
    async with opened(tmp_path, clock) as office:
        for key in ("k1", "k2", "k3"):
            await office.put_cached(answer(key))
        calls = (
            entry(message="m1", key=b"k1"), entry(message="m1", key=b"k2", cache="hit"), entry(message="m1"),
            entry(message="m1", key=b"gone"), entry(message="m2", key=b"k3"), entry(key=b"k3"),
        )  # fmt: skip
        await office.settle("c", 1, calls)
        assert sorted(await office.evict("m1")) == [b"gone", b"k1", b"k2"]
        assert await there(office) == ["k3"]
        assert await rows(office, "SELECT key FROM ledger WHERE evicted ORDER BY key") == [
            (b"gone",), (b"k1",), (b"k2",)
        ]  # fmt: skip
        assert await office.evict("") == []
        assert await office.evict("nobody") == []
        assert await there(office) == ["k3"]
