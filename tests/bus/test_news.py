"""A cell is believed what it can know: of who lives there; the daemon is believed all."""

import pytest

from callboard.bus import NoticeBody
from callboard.bus.news import may_say

HOMES = {"desk": "front", "clerk": "back"}


@pytest.mark.parametrize(
    ("cell", "notice", "believed"),
    [
        ("front", NoticeBody("desk", "crashed"), True),
        ("front", NoticeBody("clerk", "crashed"), False),
        ("front", NoticeBody("clerk", "held"), False),
        ("front", NoticeBody("", "gap", more=["kid-1", "kid-2"]), True),
        ("front", NoticeBody("", "ended", more=["kid-1", "clerk"]), False),
        ("front", NoticeBody("desk", "down"), False),
        ("front", NoticeBody("front", "fence", epoch=9, cell="front"), False),
        ("daemon", NoticeBody("clerk", "down"), True),
        ("daemon", NoticeBody("front", "fence", epoch=9, cell="front"), True),
        ("daemon", NoticeBody("clerk", "held"), True),
    ],
)
def test_a_notice_is_believed_where_its_cell_can_know_it(cell: str, notice: NoticeBody, *, believed: bool) -> None:
    assert may_say(cell, notice, homes=HOMES) == believed
