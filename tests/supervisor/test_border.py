"""Who is refused again and again, or drowns all others, is ended; once is an event, and a guest is only reported."""

from typing import Any, cast

import pytest

from callboard.bus import NatsServer, Refusal, Traffic, refusals_in
from callboard.supervisor.border import CONNECTIONS_MOST, FLOOD, FLOOD_LOOKS, TRESPASSES_MOST, WITHIN, Border
from callboard.testing import ManualClock

CELLS = {"U1": "desk"}
LINE = (
    '[7] 2026/11/29 10:00:00.000000 [ERR] 127.0.0.1:5 - cid:9 - "v2:python3:shop/desk" - '
    '"A/shop/fleet/jwt:U{}" - {} Violation - Subject "{}"{}'
)
KEY = "A" * 55
EXCEEDED = Refusal(f"U{KEY}", "exceed", "maximum subscriptions")
FORGED = r"\" - \"A/s/jwt:U" + "B" * 55 + r"\" - Publish Violation - Subject \"cb.y\""
"""A name that a client has given itself, as the server writes it."""


class Watch:
    """A border whose server is not asked."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.told: list[tuple[str, str, str]] = []
        self.ended: list[tuple[str, str]] = []
        self.border = Border(
            cast("NatsServer", None), name_of=lambda user: CELLS.get(user, ""), clock=self.clock,
            end=lambda user, verdict, _why: self.ended.append((user, verdict)), report=self.take,
        )  # fmt: skip

    def take(self, kind: str, subject: str, text: str, _detail: Any) -> None:
        self.told.append((kind, subject, text))


@pytest.fixture
def watch() -> Watch:
    return Watch()


def test_each_refusal_is_told_with_the_name_of_the_cell(watch: Watch) -> None:
    watch.border.take(Refusal("U1", "publish", "cb.shop.to.clerk.reader"))
    watch.border.take(Refusal("U9", "subscribe", ">"))
    assert watch.told == [
        ("refused-by-server", "desk", "it tried to publish cb.shop.to.clerk.reader"),
        ("refused-by-server", "guests", "it tried to subscribe >"),
    ]
    assert not watch.ended


async def test_so_many_in_so_many_seconds_are_the_end_of_a_cell_and_of_nobody_else(watch: Watch) -> None:
    for _ in range(TRESPASSES_MOST - 1):
        watch.border.take(Refusal("U1", "publish", "a"))
        watch.border.take(Refusal("U9", "publish", "a"))
    assert not watch.ended
    await watch.clock.advance(WITHIN + 1.0)
    watch.border.take(Refusal("U1", "publish", "a"))
    assert not watch.ended, "those were long ago"
    for _ in range(2 * TRESPASSES_MOST):
        watch.border.take(Refusal("U1", "publish", "a"))
        watch.border.take(Refusal("U9", "publish", "a"))
    assert watch.ended == [("U1", "trespassing")], "once, and guests are not ours to end"


def looked_at(watch: Watch, *steps: int, seconds: float = 0.5) -> None:
    """Have both users send so many messages more before each look."""
    sent = 0
    for step in steps:
        sent += step
        watch.border.measure({"U1": Traffic(sent, 1), "U9": Traffic(sent, 1)}, seconds=seconds)


def test_who_floods_for_three_seconds_is_ended_in_whatever_bursts_and_a_guest_is_not(watch: Watch) -> None:
    looked_at(watch, 0, *[FLOOD] * (FLOOD_LOOKS - 1), 0)
    assert set(watch.ended) == {("U1", "flooding")}
    other = Watch()
    looked_at(other, 0, 6 * FLOOD, 0, 0, 0, 0, 0)
    assert set(other.ended) == {("U1", "flooding")}


def test_a_burst_is_no_flood(watch: Watch) -> None:
    looked_at(watch, 0, *[FLOOD * 7 // 8] * 3, *[0] * 9, *[FLOOD // 2] * 20)
    assert not watch.ended


def test_a_look_that_comes_late_and_a_connection_made_anew_are_no_flood(watch: Watch) -> None:
    looked_at(watch, 0, *[FLOOD] * 10, seconds=5.0)
    for sent in (10 * FLOOD, 7, 9, 11, 13, 15, 17, 19):
        watch.border.measure({"U1": Traffic(sent, 1)}, seconds=0.5)
    assert not watch.ended


def test_a_cell_with_a_crowd_of_connections_is_ended_and_a_guest_is_not(watch: Watch) -> None:
    for count in (1, CONNECTIONS_MOST, 50):
        watch.border.measure({"U1": Traffic(0, count), "U9": Traffic(0, count)}, seconds=0.5)
        assert watch.ended == ([("U1", "trespassing")] if count > CONNECTIONS_MOST else [])


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (LINE.format(KEY, "Publish", "cb.x", ""), [Refusal(f"U{KEY}", "publish", "cb.x")]),
        (LINE.format(KEY, "Subscription", "cb.>", ', Queue: "q", SID 14'), [Refusal(f"U{KEY}", "subscribe", "cb.>")]),
        (f'[7] [ERR] 1 - "v" - "A/s/jwt:U{KEY}" - maximum subscriptions exceeded', [EXCEEDED]),
        (LINE.format(KEY, "Publish", "cb.x", "").replace("python3", FORGED), [Refusal(f"U{KEY}", "publish", "cb.x")]),
        ("[7] [INF] Server is ready", []),
        ("", []),
    ],
)
def test_what_the_server_writes_of_a_refusal_is_read(line: str, found: list[Refusal]) -> None:
    assert list(refusals_in([line])) == found
