"""The grammar of subjects: what is built can be parsed, what is not ours is refused, and nothing slips through."""

from collections.abc import Callable

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from callboard.bus import InvalidSubject, subjects
from callboard.errors import CallboardError, InvalidName

NAME = st.from_regex(r"[a-z][a-z0-9-]{0,62}", fullmatch=True)
HOSTILE = [
    "",
    "*",
    ">",
    "a*",
    "a b",
    " a",
    "a ",
    "a.b",
    ".",
    "a\n",
    "\na",
    "a\r\nPUB x 1",
    "a\x00",
    "\x00",
    "a\t",
    "A",
    "1a",
    "-a",
    "a_b",
    "a" * 64,
    "a" * 300,
    "\u0430ctor",  # Cyrillic a
    "\uff41",  # full-width a
    "a\u200b",  # zero-width space
    "a\u0301",  # combining accent
    "\u212a",  # Kelvin sign, lower() is k
    "\u0131",  # dotless i
    "a\u0660",  # an Arabic digit
    "a\u2010b",  # a hyphen that is not '-'
    "\ud800",
    "$sys",
    "%s",
    "{0}",
    "../a",
]
BUILD: list[Callable[[str, str, str], str]] = [
    lambda fleet, name, cell: subjects.mailbox(fleet, name, sender=cell),
    lambda fleet, name, cell: subjects.topic(fleet, name, sender=cell),
    lambda fleet, name, cell: subjects.system(fleet, name, sender=cell),
]


@given(NAME, NAME, NAME)
def test_what_is_built_can_be_parsed(fleet: str, name: str, cell: str) -> None:
    built = {build(fleet, name, cell): branch for build, branch in zip(BUILD, ("to", "on", "sys"), strict=True)}
    for subject, branch in built.items():
        assert subjects.parse(subject) == (fleet, branch, name, cell, "")
    assert subjects.parse(subjects.front_door(fleet, name)) == (fleet, "to", name, "", "")
    assert len(built) == 3


@given(NAME, NAME, NAME, NAME)
def test_the_address_of_a_spawned_actor_names_its_home_it_and_who_speaks(
    fleet: str, home: str, actor: str, cell: str
) -> None:
    built = subjects.lodging(fleet, home, actor=actor, sender=cell)
    assert subjects.parse(built) == (fleet, "in", actor, cell, home)
    assert subjects.matches(subjects.lodging(fleet, home), built)


@given(st.text(max_size=80))
@example("cb.shop.to.a.*")
@example("cb.shop.to.*")
@example("cb.shop.to.a.b\n")
@example("cb.shop.to.a\n")
@example("cb.shop.on.a")
@example("cb.shop.to.")
@example("cb..to.a.b")
@example("cb.shop.to.a.b.c")
@example("CB.shop.to.a.b")
@example("cb.shop.do.a.b")
@example("cb.shop.in.a.b.c")
@example("cb.shop.in.a.b")
@example("cb.shop.in.a.*.c")
def test_any_text_is_parsed_and_builds_itself_again_or_is_refused(text: str) -> None:
    try:
        place = subjects.parse(text)
    except InvalidSubject as refused:
        assert len(refused.text) < 1000  # noqa: PT017 - both ends are legal, a third is not
        return
    if not place.cell:
        assert subjects.front_door(place.fleet, place.name) == text
        return
    if place.home:
        assert subjects.lodging(place.fleet, place.home, actor=place.name, sender=place.cell) == text
        return
    build = {"to": subjects.mailbox, "on": subjects.topic, "sys": subjects.system}[place.branch]
    assert build(place.fleet, place.name, sender=place.cell) == text


@given(
    st.lists(st.sampled_from(["cb", "shop", "to", "in", "on", "sys", "a", "b-1", "*", ">", "", "A", "a\n"]), max_size=7)
)
def test_any_tokens_are_parsed_only_if_they_are_a_subject_of_ours(tokens: list[str]) -> None:
    text = ".".join(tokens)
    valid = {"cb", "shop", "to", "in", "on", "sys", "a", "b-1"}
    lengths = {"to": (4, 5), "in": (6,), "on": (5,), "sys": (5,)}
    ours = len(tokens) > 3 and tokens[0] == "cb" and len(tokens) in lengths.get(tokens[2], ()) and set(tokens) <= valid
    if ours:
        assert subjects.parse(text).name == tokens[4 if tokens[2] == "in" else 3]
    else:
        with pytest.raises(InvalidSubject):
            subjects.parse(text)


@pytest.mark.parametrize("bad", HOSTILE)
@pytest.mark.parametrize("build", BUILD, ids=["to", "on", "sys"])
def test_no_name_that_could_change_the_meaning_of_a_subject_gets_in(
    build: Callable[[str, str, str], str], bad: str
) -> None:
    with pytest.raises(InvalidName):
        build(bad, "name", "cell")
    if bad != subjects.ANY:  # listening to all has that word
        with pytest.raises(InvalidName):
            build("shop", bad, "cell")
        with pytest.raises(InvalidName):
            build("shop", "name", bad)
        with pytest.raises(InvalidName):
            subjects.front_door("shop", bad)


@pytest.mark.parametrize("bad", HOSTILE)
def test_no_subject_with_such_a_name_is_parsed(bad: str) -> None:
    for text in (f"cb.{bad}.to.a.b", f"cb.shop.to.{bad}.b", f"cb.shop.to.a.{bad}", f"cb.shop.on.{bad}.b"):
        with pytest.raises(InvalidSubject):
            subjects.parse(text)


@given(st.text(max_size=70))
def test_any_text_as_a_name_makes_a_subject_of_five_tokens_or_is_refused(name: str) -> None:
    try:
        built = subjects.mailbox("shop", name, sender="cell")
    except CallboardError:
        return
    assert len(built.split(".")) == 5
    assert built.isascii()
    assert built.isprintable()


# --- wildcards

TOKEN = st.sampled_from(["a", "b", "c", ""])
SUBJECT = st.lists(TOKEN, min_size=1, max_size=5)


def _covered(wanted: list[str], given: list[str]) -> bool:
    """Say the same as `matches`, the slow way."""
    if not wanted or not given:
        return wanted == given
    if wanted == [">"]:
        return True
    return wanted[0] in ("*", given[0]) and _covered(wanted[1:], given[1:])


@given(st.lists(TOKEN | st.just("*"), max_size=5), st.booleans(), SUBJECT)
def test_wildcards_cover_what_a_simple_model_says(pattern: list[str], tail: bool, subject: list[str]) -> None:
    wanted = pattern + [">"] * tail
    assume(wanted)
    assert subjects.matches(".".join(wanted), ".".join(subject)) == _covered(wanted, subject)


@given(SUBJECT)
def test_a_subject_covers_itself_and_the_widest_pattern_covers_all(subject: list[str]) -> None:
    text = ".".join(subject)
    assert subjects.matches(text, text)
    assert subjects.matches(">", text)
    assert not subjects.matches(f"{text}.>", text)
    assert subjects.matches(".".join("*" for _ in subject), text)


@given(NAME, NAME, NAME, NAME)
def test_listening_to_an_actor_hears_every_cell_and_no_other_actor(
    fleet: str, actor: str, other: str, cell: str
) -> None:
    assume(actor != other)
    listening = subjects.mailbox(fleet, actor)
    assert subjects.matches(listening, subjects.mailbox(fleet, actor, sender=cell))
    assert not subjects.matches(listening, subjects.mailbox(fleet, other, sender=cell))
    assert not subjects.matches(listening, subjects.front_door(fleet, actor))
    assert not subjects.matches(subjects.front_door(fleet, actor), subjects.mailbox(fleet, actor, sender=cell))


# --- publishing


@pytest.mark.parametrize(
    "bad", ["", "a b", "a\tb", "a\r\nb", "a\x00", "a\x0b", "a\x0c", "a\x85", "a\u2028", "*", "a.>"]
)
def test_what_would_break_the_line_protocol_cannot_be_published_to(bad: str) -> None:
    with pytest.raises(InvalidSubject):
        subjects.check_publishable(bad)


@given(NAME, NAME, NAME)
def test_every_subject_of_ours_can_be_published_to(fleet: str, name: str, cell: str) -> None:
    for build in BUILD:
        subjects.check_publishable(build(fleet, name, cell))
    subjects.check_publishable("_INBOX.Ab0-_$/x")
