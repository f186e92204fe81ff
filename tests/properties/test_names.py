"""The one name gate lets nothing through that could mean more than a name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard.errors import InvalidName
from callboard.names import checked, from_class

LETTERS = "abcdefghijklmnopqrstuvwxyz"
LATER = LETTERS + "0123456789-"


def _is_name(text: str) -> bool:
    """Say what a name is, without the regular expression."""
    return 1 <= len(text) <= 63 and text[0] in LETTERS and all(letter in LATER for letter in text)


@given(st.text(max_size=70) | st.text(LATER + "A_. \n*>", max_size=66) | st.text(LATER, min_size=60, max_size=66))
def test_the_gate_says_what_the_rule_says(text: str) -> None:
    if _is_name(text):
        assert checked(text, "actor") is text
    else:
        with pytest.raises(InvalidName, match="is not an actor name"):
            checked(text, "actor")


@given(st.text(LATER, min_size=1, max_size=62), st.sampled_from(" \n\r\t\x00*>./\\_$:A\u00e9\u0660\u200b\ud800"))
def test_one_strange_character_anywhere_is_too_many(rest: str, strange: str) -> None:
    for text in (strange + rest, rest + strange, f"a{strange}{rest}"):
        with pytest.raises(InvalidName):
            checked(text, "cell")


@given(
    st.none()
    | st.integers()
    | st.binary()
    | st.lists(st.text(max_size=3))
    | st.tuples(st.text(max_size=3))
    | st.floats()
)
def test_what_is_no_text_is_no_name(thing: object) -> None:
    with pytest.raises(InvalidName):
        checked(thing, "topic")


@given(st.text(min_size=200, max_size=5000))
def test_the_refusal_is_short_and_names_the_kind_and_the_rule(text: str) -> None:
    with pytest.raises(InvalidName) as error:
        checked(text, "fleet")
    assert len(error.value.text) < 200
    assert "fleet" in error.value.text
    assert "1 to 63 of a-z, 0-9 and '-'" in error.value.text
    assert error.value.detail == {"kind": "fleet"}


@pytest.mark.parametrize(
    ("class_name", "name"),
    [
        ("Support", "support"),
        ("CaseWorker", "case-worker"),
        ("A", "a"),
        ("Gpt4Client", "gpt4-client"),
        ("HTTP", "http"),
    ],
)
def test_a_class_is_called_by_its_name_in_kebab_case(class_name: str, name: str) -> None:
    assert from_class(class_name) == name


@given(st.from_regex(r"[A-Z][A-Za-z0-9]{0,30}", fullmatch=True))
def test_every_plain_class_name_is_a_name(class_name: str) -> None:
    assert from_class(class_name).replace("-", "") == class_name.lower()


@given(st.text(max_size=80))
def test_any_other_class_name_gives_a_name_or_is_refused(class_name: str) -> None:
    try:
        name = from_class(class_name)
    except InvalidName:
        return
    assert _is_name(name)


@pytest.mark.parametrize("class_name", ["_Private", "Two_Words", "\u00c9t\u00e9", "A" * 64, ""])
def test_a_class_that_cannot_be_addressed_is_refused(class_name: str) -> None:
    with pytest.raises(InvalidName):
        from_class(class_name)
