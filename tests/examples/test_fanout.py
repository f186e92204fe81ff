"""Fanning out: bounded, and a question whose holder died is asked again until it is answered."""

from collections import Counter

import anyio.lowlevel
import pytest
from examples.review.fanout import DELAYS, fan_out, persist

from callboard.errors import CallboardError, CallerError, PeerError, WorldError


class Peer:
    """Answers with ten times the question, after failing each one as often as it is told to."""

    def __init__(self, *, failures: int, error: CallboardError | None = None) -> None:
        self.asked: Counter[int] = Counter()
        self.most_at_once = 0
        self._failures = failures
        self._error = error or PeerError("it died")
        self._under_way = 0

    async def ask(self, question: int) -> int:
        self.asked[question] += 1
        self._under_way += 1
        self.most_at_once = max(self.most_at_once, self._under_way)
        await anyio.lowlevel.checkpoint()
        self._under_way -= 1
        if self.asked[question] <= self._failures:
            raise self._error
        return question * 10


class Pauses:
    """Takes the place of sleeping."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.taken.append(seconds)
        await anyio.lowlevel.checkpoint()


@pytest.mark.parametrize("failures", [0, 1, len(DELAYS)])
@pytest.mark.parametrize("error", [PeerError("died"), WorldError("lost")])
async def test_every_question_is_answered_once_though_its_holder_died(failures: int, error: CallboardError) -> None:
    peer, answers = Peer(failures=failures, error=error), list[int]()
    await fan_out(range(20), peer.ask, take=answers.append, at_once=4, sleep=Pauses().sleep)
    assert sorted(answers) == [question * 10 for question in range(20)]
    assert set(peer.asked.values()) == {failures + 1}


async def test_no_more_are_under_way_than_allowed() -> None:
    peer = Peer(failures=0)
    await fan_out(range(20), peer.ask, take=lambda _: None, at_once=3, sleep=Pauses().sleep)
    assert peer.most_at_once == 3


async def test_a_question_that_never_succeeds_is_given_up_with_its_own_error() -> None:
    peer, pauses = Peer(failures=99), Pauses()
    with pytest.raises(PeerError, match="it died"):
        await fan_out([1], peer.ask, take=lambda _: None, at_once=2, sleep=pauses.sleep)
    assert peer.asked == {1: len(DELAYS) + 1}
    assert pauses.taken == list(DELAYS)


@pytest.mark.parametrize(
    "error", [CallerError("no such path"), PeerError("surveyor failed: BadCommits", exception="BadCommits")]
)
async def test_a_fault_of_the_caller_is_not_tried_again(error: CallboardError) -> None:
    peer, pauses = Peer(failures=99, error=error), Pauses()
    with pytest.raises(type(error)):
        await persist(lambda: peer.ask(1), sleep=pauses.sleep)
    assert peer.asked == {1: 1}
    assert pauses.taken == []
