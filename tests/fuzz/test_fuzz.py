"""Whatever bytes come, each target ends as it says: the short form, with a generator that knows the shape of things."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .targets import SEEDS, TARGETS


def mutated(seed: bytes) -> st.SearchStrategy[bytes]:
    """Return bytes that look like `seed` here and there."""
    places = st.integers(0, max(0, len(seed) - 1))
    return st.builds(
        lambda at, cut, more: seed[:at] + more + seed[at + cut :], places, st.integers(0, 4), st.binary(max_size=8)
    )


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_no_bytes_end_otherwise_than_is_said(name: str, data: st.DataObject) -> None:
    seed = data.draw(st.sampled_from(SEEDS[name]))
    TARGETS[name](data.draw(st.one_of(mutated(seed), st.binary(max_size=200))))


@pytest.mark.parametrize("name", TARGETS)
def test_each_seed_itself_ends_as_is_said(name: str) -> None:
    for seed in SEEDS[name]:
        TARGETS[name](seed)
