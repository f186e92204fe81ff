"""Retention: by age, trust and usefulness; what goes is gone from the index too."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from callboard.store.episodes import Filter, Outcome, Retention, letting_go
from callboard.store.episodes.file import EpisodeFile

from ..manual_clock import ManualClock
from .remembered import indexed, opened, told, until

_COUNTS = st.integers(0, 10**6)


async def kept(memory: EpisodeFile) -> set[str]:
    rows = await memory.page(below=10**9, limit=10_000, wanted=Filter())
    return {row.recalled.episode.situation for row in rows}


async def test_no_more_than_the_most_are_kept_least_worth_goes_first(tmp_path: Path, clock: ManualClock) -> None:
    async with opened(tmp_path, clock=clock, keep=Retention(most=4)) as memory:
        await memory.remember(told("foreign", trust=0))
        await memory.remember(told("old"))
        await clock.advance(30 * 86_400)
        await memory.remember(told("owned", trust=2))
        await memory.remember(told("failed", worked=False))
        await memory.remember(told("helpful"))
        await memory.recall("helpful", 1, message="m1")
        await memory.outcome(Outcome(message="m1", good=True))
        await memory.remember(told("new"))
        await indexed(memory, 6)
        await memory.keep_house()
        assert await kept(memory) == {"owned", "failed", "helpful", "new"}
        await indexed(memory, 4)
        await memory.keep_house()
        assert len(await kept(memory)) == 4


async def test_what_is_too_old_goes_unless_it_helped(tmp_path: Path, clock: ManualClock) -> None:
    async with opened(tmp_path, clock=clock, keep=Retention(days=10)) as memory:
        for name in ("helped", "harmed", "unused"):
            await memory.remember(told(f"it {name}"))
            await memory.used(name, [(await memory.recall(name, 1)).episodes[0].id])
        await memory.outcome(Outcome(message="helped", good=True))
        await memory.outcome(Outcome(message="harmed", good=False))
        await clock.advance(10 * 86_400)
        await memory.keep_house()
        assert len(await kept(memory)) == 3
        await memory.remember(told("it is new"))
        await clock.advance(1)
        await memory.keep_house()
        assert await kept(memory) == {"it helped", "it is new"}


async def test_more_than_a_batch_goes_at_once_a_portion_at_a_time(tmp_path: Path) -> None:
    async with opened(tmp_path, keep=Retention(most=10)) as memory:
        for at in range(420):
            await memory.remember(told(f"thing {at}"))
        await memory.keep_house()
        assert await kept(memory) == {f"thing {at}" for at in range(410, 420)}, "of equal worth the oldest goes"
        await indexed(memory, 10)
        await until(lambda: not memory.indexer.index.removed)
        assert len((await memory.recall("thing 415")).episodes) == 5


async def test_what_was_said_long_ago_is_let_go_and_the_counts_stay(tmp_path: Path, clock: ManualClock) -> None:
    async with opened(tmp_path, clock=clock) as memory:
        one = await memory.remember(told("restart the pump"))
        await memory.recall("pump", message="m1")
        await memory.outcome(Outcome(message="m1", good=True))
        await clock.advance(91 * 86_400)
        await memory.recall("pump", message="m2")
        await memory.keep_house()
        assert (await memory.stats()).outcomes == 0
        assert (await memory.show(one.id))[0].helped == 1
        await memory.outcome(Outcome(message="m2", good=True))
        assert (await memory.show(one.id))[0].helped == 2


@given(
    st.sampled_from([0, 1, 2]),
    st.sampled_from([None, 0, 1]),
    _COUNTS,
    _COUNTS,
    _COUNTS,
    st.floats(-1e4, 1e5),
    st.floats(0, 1e5),
)
def test_worth_falls_with_age_and_rises_with_trust_use_and_a_known_outcome(
    trust: int, worked: int | None, used: int, helped: int, harmed: int, days: float, more: float
) -> None:
    worth = letting_go.worth(trust, worked, used, helped, harmed, days)
    assert letting_go.worth(trust, worked, used, helped, harmed, days + more) <= worth
    assert letting_go.worth(trust + 1, worked, used, helped, harmed, days) > worth
    assert letting_go.worth(trust, 0, used, helped, harmed, days) >= worth
    assert letting_go.worth(trust, worked, used + 1, helped, harmed, days) >= worth
    assert letting_go.worth(trust, worked, used, helped + 1, harmed, days) >= worth - 1e-9
    assert letting_go.worth(trust, worked, used, helped, harmed + 1, days) <= worth + 1e-9
