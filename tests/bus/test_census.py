"""The census: what the daemon believes of who lives where, whatever comes in whatever order."""

from hypothesis import given
from hypothesis import strategies as st
from tests.manual_clock import ManualClock

from callboard.bus import encode
from callboard.bus.census import DOUBT_FOR, PAGE, Census, Movement, pages_of

CELLS = st.sampled_from(["attic", "cellar"])
NAMES = st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=3, unique=True)
MOVES = st.lists(st.tuples(CELLS, NAMES, NAMES, st.booleans()), max_size=30)


def found(census: Census) -> dict[str, str]:
    return {name: where for name in "abcd" if (where := census.where(name)).startswith("in ")}


@given(MOVES)
def test_an_actor_is_where_it_was_said_to_be_last_until_that_cell_says_that_it_is_gone(
    moves: list[tuple[str, list[str], list[str], bool]],
) -> None:
    census, homes = Census(clock=ManualClock()), dict[str, str]()
    for cell, here, gone, whole in moves:
        census.take(cell, Movement(1, here=here, gone=gone, whole=whole))
        homes = {
            name: home for name, home in homes.items() if home != cell or not (whole or name in gone)
        } | dict.fromkeys(here, cell)
    assert found(census) == {name: f"in {home}" for name, home in homes.items()}


def test_who_claims_a_name_of_another_cell_is_named() -> None:
    census = Census(clock=ManualClock())
    assert census.take("attic", Movement(1, here=["a", "b"])) == []
    assert census.take("cellar", Movement(1, here=["b", "c"])) == ["b"]
    assert census.where("b") == "in cellar"


def test_a_buried_process_says_nothing_any_more_and_the_next_one_does() -> None:
    census = Census(clock=ManualClock())
    census.take("attic", Movement(3, here=["a", "b"]))
    assert census.of("attic") == ["a", "b"]
    census.bury("attic", 3)
    census.take("attic", Movement(3, here=["a"]))
    assert census.where("a") == "unknown"
    census.take("attic", Movement(4, here=["a"]))
    assert census.where("a") == "in attic"


async def test_in_doubt_nobody_is_denied_and_doubt_ends() -> None:
    clock = ManualClock()
    census = Census(clock=clock)
    census.doubt()
    assert census.where("a") == "restarting"
    await clock.advance(DOUBT_FOR)
    assert census.where("a") == "unknown"


async def test_while_a_cell_says_again_who_is_there_nobody_is_denied() -> None:
    census = Census(clock=ManualClock())
    census.take("attic", Movement(1, here=["a", "b"]))
    census.take("attic", Movement(1, here=["a"], whole=True, more=True))
    assert census.where("b") == "restarting"


def test_when_a_name_that_two_claimed_has_gone_from_one_the_other_is_to_be_heard_again() -> None:
    census = Census(clock=ManualClock())
    census.take("attic", Movement(1, here=["a"]))
    census.take("cellar", Movement(1, here=["a"]))
    gone = Movement(1, gone=["a"])
    census.take("cellar", gone)
    assert census.was_contested(gone)
    assert not census.was_contested(gone)


@given(st.integers(0, 3 * PAGE), st.integers(10_000, 1 << 20))
def test_pages_hold_all_names_once_and_in_order_and_pass_a_server(count: int, max_payload: int) -> None:
    names = [f"{number:063d}" for number in range(count)]
    pages = pages_of(names, max_payload=max_payload)
    assert [name for page in pages for name in page] == names
    assert all(len(page) <= PAGE and len(encode(page)) < max_payload for page in pages)
