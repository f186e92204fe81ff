"""Remembering: whole, once, with no more trust than it came from, and nothing overwritten."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard.store import Fenced, InvalidEpisode, NoSuchEpisode
from callboard.store.episodes import Episode, Filter, Retention, checked, id_of
from callboard.store.episodes.file import EpisodeFile

from ..manual_clock import ManualClock
from .embedders import Fake
from .remembered import indexed, opened, situations, told

_NAMES = st.text(max_size=20)
_EPISODES = st.builds(
    Episode,
    situation=st.text(min_size=1, max_size=60).filter(str.strip), cause=_NAMES, action=_NAMES, outcome=_NAMES,
    worked=st.sampled_from([True, False, None]), about=_NAMES, source=_NAMES,
    labels=st.dictionaries(_NAMES, _NAMES, max_size=4), trust=st.sampled_from([0, 1, 2]),
)  # fmt: skip


async def test_it_comes_back_as_it_was_told(tmp_path: Path, clock: ManualClock) -> None:
    episode = told(
        "the oven was cold", cause="a fuse", action="changed it", outcome="warm again", worked=True, about="oven-7",
        source="cook", labels={"room": "kitchen", 'odd "name"': "\x00"}, evidence=("m-1",), trust=2,
    )  # fmt: skip
    async with opened(tmp_path, clock=clock) as memory:
        kept = await memory.remember(episode)
        assert kept.new
        assert kept.id == id_of(episode)
    async with opened(tmp_path, clock=clock) as memory:
        shown, links, *_ = await memory.show(kept.id)
        assert shown.episode == msgspec.structs.replace(episode, valid_from=clock.now())
        assert (shown.at, shown.sightings, shown.returned, links) == (clock.now(), 1, 0, [])
        with pytest.raises(NoSuchEpisode, match="nothing under 'x'"):
            await memory.show("x")


@given(_EPISODES, _EPISODES)
def test_an_id_stands_for_texts_whom_it_is_about_and_labels(one: Episode, other: Episode) -> None:
    def content(each: Episode) -> object:
        return each.situation, each.cause, each.action, each.outcome, each.about, each.labels

    assert checked(one) == one
    assert (id_of(one) == id_of(other)) == (content(one) == content(other))
    assert id_of(one) == id_of(
        told(one.situation, **{n: getattr(one, n) for n in ("cause", "action", "outcome", "about", "labels")})
    )


async def test_the_same_again_is_one_more_sighting(tmp_path: Path) -> None:
    async with opened(tmp_path) as memory:
        first = await memory.remember(told("it rained"))
        again = await memory.remember(told("it rained", worked=True, source="radio", trust=2))
        assert (again.id, again.new) == (first.id, False)
        shown, *_ = await memory.show(first.id)
        assert (shown.sightings, shown.episode.trust, shown.episode.worked) == (2, 2, True)
        assert (await memory.stats()).episodes == 1


async def test_the_same_message_once_more_is_no_sighting(tmp_path: Path) -> None:
    async with opened(tmp_path) as memory:
        kept = await memory.remember(told("it rained"), message="m1")
        for _ in range(3):
            await memory.remember(told("it rained"), message="m1")
        assert (await memory.show(kept.id))[0].sightings == 1
        await memory.remember(told("it rained"), message="m2")
        assert (await memory.show(kept.id))[0].sightings == 2


_HOSTILE: list[dict[str, Any]] = [
    {"situation": ""},
    {"situation": " \n\t "},
    {"situation": "x" * 8001},
    {"situation": "\ud800"},
    {"situation": 5},
    {"situation": None},
    {"cause": "x" * 8001},
    {"labels": {f"{at}": "" for at in range(17)}},
    {"labels": {"x": 1}},
    {"labels": {"x" * 201: ""}},
    {"labels": {"\udfff": ""}},
    {"evidence": ("x",) * 65},
    {"evidence": ("x" * 201,)},
    {"supersedes": ("x",) * 65},
    {"worked": "yes"},
    {"trust": 3},
    {"trust": -1},
    {"trust": True},
    {"valid_from": float("nan")},
    {"valid_from": float("inf")},
    {"valid_until": float("-inf")},
    {"valid_from": 10**400},
    {"valid_from": 5.0, "valid_until": 5.0},
    {"valid_from": "now"},
]


@pytest.mark.parametrize("fields", _HOSTILE, ids=lambda each: str(each)[:30])
async def test_what_is_not_legal_is_refused_whole(tmp_path: Path, fields: dict[str, Any]) -> None:
    async with opened(tmp_path) as memory:
        with pytest.raises(InvalidEpisode):
            await memory.remember(told(**{"situation": "x", **fields}))
        with pytest.raises(InvalidEpisode):
            await memory.remember(told("x"), message="\ud800")
        assert (await memory.stats()).episodes == 0


async def test_hostile_but_legal_texts_are_kept_by_the_letter(tmp_path: Path) -> None:
    texts = [
        "a\x00b",
        "'; DROP TABLE episodes; --",
        '" OR 1',
        "😀" * 4000,
        "\u202e rtl \ufeff",
        "NEAR(a b) AND *",
        "{}",
        "é e\u0301",
    ]
    async with opened(tmp_path) as memory:
        for text in texts:
            kept = await memory.remember(told(text, cause=text, labels={text[:200]: text[:200]}))
            assert (await memory.show(kept.id))[0].episode.cause == text
            assert len(await memory.page(below=99, limit=9, wanted=Filter(where={text[:200]: text[:200]}))) == 1
        assert (await memory.stats()).episodes == len(texts)
        await indexed(memory, 6)


async def test_trust_is_the_least_of_what_it_came_from(tmp_path: Path) -> None:
    async with opened(tmp_path) as memory:
        stranger = await memory.remember(told("a stranger said so", trust=0))
        friend = await memory.remember(told("a friend said so", trust=2))
        one = await memory.remember(told("one", trust=2, evidence=(friend.id, stranger.id)))
        two = await memory.remember(told("two", trust=2, evidence=(one.id,)))
        three = await memory.remember(told("three", trust=1, evidence=(friend.id, "a message")))
        four = await memory.remember(told("four", trust=2, evidence=(id_of(told("four")), one.id)))
        trusts = [(await memory.show(each.id))[0].episode.trust for each in (one, two, three, four)]
        assert trusts == [0, 0, 1, 0]
        await memory.remember(told("two", trust=2, evidence=(stranger.id,)))
        assert (await memory.show(two.id))[0].episode.trust == 0, "said again from the same source"
        await memory.remember(told("two", trust=1))
        assert (await memory.show(two.id))[0].episode.trust == 1, "said by another"


async def test_what_is_superseded_is_not_overwritten(tmp_path: Path, clock: ManualClock) -> None:
    async with opened(tmp_path, clock=clock) as memory:
        old = await memory.remember(told("the limit is 5"))
        await clock.advance(10)
        new = await memory.remember(told("the limit is 7", supersedes=(old.id, "unknown")))
        assert situations(await memory.recall("limit")) == ["the limit is 7"]
        before = Filter(at=clock.now() - 5)
        assert situations(await memory.recall("limit", wanted=before)) == ["the limit is 5"]
        assert (await memory.show(old.id))[0].episode.valid_until == clock.now()
        assert [(each.kind, each.id) for each in (await memory.show(old.id))[1]] == [("superseded by", new.id)]
        assert [(each.kind, each.id) for each in (await memory.show(new.id))[1]] == [("supersedes", old.id)]


async def test_what_was_superseded_and_is_said_again_holds_again(tmp_path: Path, clock: ManualClock) -> None:
    async with opened(tmp_path, clock=clock) as memory:
        old = await memory.remember(told("the limit is 5"))
        await clock.advance(10)
        new = await memory.remember(told("the limit is 7", supersedes=(old.id,)))
        await clock.advance(10)
        await memory.remember(told("the limit is 5", supersedes=(new.id,)))
        assert situations(await memory.recall("limit")) == ["the limit is 5"]
        between = Filter(at=clock.now() - 5)
        assert "the limit is 7" in situations(await memory.recall("limit", wanted=between))


async def test_a_stranger_ends_no_ones_belief_and_brings_none_back(tmp_path: Path, clock: ManualClock) -> None:
    async with opened(tmp_path, clock=clock) as memory:
        old = await memory.remember(told("the limit is 5"))
        await memory.remember(told("the limit is 9", trust=0, supersedes=(old.id,)))
        await memory.remember(
            told("the limit is 8", trust=2, evidence=(id_of(told("the limit is 9")),), supersedes=(old.id,))
        )
        assert "the limit is 5" in situations(await memory.recall("limit"))
        await memory.remember(told("the limit is 7", supersedes=(old.id,)))
        await clock.advance(1)
        await memory.remember(told("the limit is 5", trust=0))
        assert "the limit is 5" not in situations(await memory.recall("limit"))


async def test_validity_has_a_beginning_and_an_end(tmp_path: Path, clock: ManualClock) -> None:
    now = clock.now()
    async with opened(tmp_path, clock=clock) as memory:
        await memory.remember(told("sale on now", valid_until=now + 10))
        await memory.remember(told("sale on later", valid_from=now + 10))
        assert situations(await memory.recall("sale")) == ["sale on now"]
        assert situations(await memory.recall("sale", wanted=Filter(at=now + 10))) == ["sale on later"]
        assert situations(await memory.recall("sale", wanted=Filter(at=now - 1))) == []
        await clock.advance(10)
        assert situations(await memory.recall("sale")) == ["sale on later"]


async def test_a_clock_that_is_put_back_hides_nothing(tmp_path: Path, clock: ManualClock) -> None:
    async with opened(tmp_path, clock=clock) as memory:
        await memory.remember(told("sale on now"))
        await memory.remember(told("sale on later", valid_from=clock.now() + 10))
        clock.jump(-3600)
        assert situations(await memory.recall("sale")) == ["sale on now"]
        assert situations(await memory.recall("sale", wanted=Filter(at=clock.now()))) == []


async def test_a_later_incarnation_fences_the_one_before(tmp_path: Path, clock: ManualClock) -> None:
    def at(epoch: int) -> Any:
        return EpisodeFile.open(
            tmp_path, "a", epoch=epoch, clock=clock, embedder=Fake(), report=print, keep=Retention()
        )

    async with at(5):
        pass
    with pytest.raises(Fenced):
        async with at(4):
            pass
