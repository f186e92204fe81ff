"""Ids are unique, sort by time, and cannot be guessed."""

import re
import time
from itertools import pairwise

from callboard.ids import Ids, new_id

ID = re.compile(r"[0-9a-f]{32}")
MANY = 100_000


def test_a_hundred_thousand_ids_are_unique_and_of_one_shape() -> None:
    made = [new_id() for _ in range(MANY)]
    assert len(set(made)) == MANY
    assert all(ID.fullmatch(each) for each in made)


def test_the_random_part_alone_is_unique() -> None:
    """Within one millisecond, and at every refill of the pool, nothing repeats."""
    assert len({new_id()[12:] for _ in range(MANY)}) == MANY


def test_ids_sort_by_the_millisecond_in_which_they_were_made() -> None:
    made = [new_id() for _ in range(MANY)]
    stamps = [each[:12] for each in made]
    assert stamps == sorted(stamps)
    assert stamps[0] < stamps[-1]


def test_an_id_tells_when_it_was_made() -> None:
    before = int(time.time() * 1000)
    made = int(new_id()[:12], 16)
    assert before <= made <= int(time.time() * 1000)


def test_two_sources_never_make_the_same_id() -> None:
    one, other = Ids(), Ids()
    assert not {one.new() for _ in range(5000)} & {other.new() for _ in range(5000)}


def test_no_random_byte_is_used_for_two_ids() -> None:
    """Who knows one id must know nothing of the next."""
    tails = [new_id()[12:] for _ in range(2000)]
    for shared in range(2, 10):
        overlaps = sum(one[-2 * shared :] == other[: 2 * shared] for one, other in pairwise(tails))
        assert overlaps <= 2, f"{shared} bytes at the end of an id begin the next one"


def test_every_bit_of_the_random_part_is_used() -> None:
    made = [int(new_id()[12:], 16) for _ in range(2000)]
    for bit in range(80):
        share = sum(each >> bit & 1 for each in made) / len(made)
        assert 0.4 < share < 0.6, f"bit {bit}: ten standard deviations from a fair coin"
