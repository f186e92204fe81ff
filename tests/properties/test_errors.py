"""Every error crosses the wire and comes out as what it was."""

import pickle
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import callboard
from callboard.bus import VERSION, Envelope, Kind, encode, error_body, split
from callboard.bus.codec import error_in
from callboard.errors import CallboardError, CallerError, Detail, PeerError, UnknownError, WorldError, from_wire, kebab

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
VALUE = TEXT | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.booleans() | st.none()
DETAIL = st.dictionaries(TEXT | st.sampled_from(["self", "text", "code", "detail"]), VALUE, max_size=5)


def _all_errors() -> list[type[CallboardError]]:
    """Return every error class of the project: import everything, then walk down from the base."""
    for room in ("actors", "bus", "store", "supervisor"):
        for module in walk_packages([str(Path(path) / room) for path in callboard.__path__], f"callboard.{room}."):
            if not module.name.endswith("__main__"):
                import_module(module.name)
    found, left = list[type[CallboardError]](), [CallboardError]
    while left:
        for each in left.pop().__subclasses__():
            if each.__module__.startswith("callboard.") and each not in found:
                found.append(each)
                left.append(each)
    return found


ERRORS = _all_errors()
each_error = pytest.mark.parametrize("kind", ERRORS, ids=[each.__name__ for each in ERRORS])


def _travel(error: CallboardError) -> CallboardError:
    """Send an error as a reply and return what the other side makes of it."""
    data = encode(Envelope(VERSION, Kind.ERROR, "", 0, "", "", body=error_body(error)))
    [envelope] = split(data)
    assert isinstance(envelope, Envelope)
    return error_in(envelope)


def test_there_are_errors_of_every_room() -> None:
    rooms = {each.__module__.split(".")[1] for each in ERRORS}
    assert rooms >= {"actors", "bus", "errors", "store", "supervisor"}
    assert len(ERRORS) > 20


def test_no_two_errors_have_the_same_code() -> None:
    codes = [each.code for each in ERRORS]
    assert sorted(codes) == sorted(set(codes))


@each_error
def test_every_error_says_whose_fault_it_is(kind: type[CallboardError]) -> None:
    faults = [base for base in (CallerError, PeerError, WorldError) if issubclass(kind, base)]
    assert len(faults) == 1


@each_error
def test_every_error_has_its_name_as_its_code(kind: type[CallboardError]) -> None:
    assert kind.code == kebab(kind.__name__)
    assert kind.code == kind.code.lower()


@each_error
@settings(max_examples=15)
@given(text=TEXT, detail=DETAIL)
def test_every_error_crosses_the_wire(kind: type[CallboardError], text: str, detail: Detail) -> None:
    back = _travel(kind(text, **detail))
    assert type(back) is kind
    assert (back.text, str(back), back.detail) == (text, text, detail)


@each_error
def test_every_error_can_be_pickled(kind: type[CallboardError]) -> None:
    back = pickle.loads(pickle.dumps(kind("why", depth=3)))  # noqa: S301 - made one line earlier
    assert (type(back), back.text, back.detail) == (kind, "why", {"depth": 3})


@given(st.text(max_size=30), TEXT, DETAIL)
def test_an_unknown_code_keeps_its_text_and_detail(code: str, text: str, detail: Detail) -> None:
    back = from_wire(f"?{code}", text, detail)
    assert type(back) is UnknownError
    assert back.text == f"?{code}: {text}"
    assert back.detail == detail


@pytest.mark.parametrize("text", ["caf\udce9", "\ud800", "x" * 5_000_000], ids=["surrogate-escape", "lone", "long"])
def test_an_error_with_any_text_can_be_sent(text: str) -> None:
    back = _travel(WorldError(text, path=text[:10], size=2**80))
    assert type(back) is WorldError
    assert len(back.text) <= 4096
    assert back.text[:3] == text[:3] or "\\" in back.text
