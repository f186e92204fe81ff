"""What a model is told of a type is what strict endpoints take, and only what fits the type is accepted from it."""

import datetime as dt
import enum
import json
from typing import Annotated, Any, Final, Generic, Literal, TypedDict, TypeVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard import Message
from callboard.actors.llm.request import Request, Turn
from callboard.actors.llm.typed import RAW_MOST, Misfit, UnfitType, form_of, read_answer, repair
from callboard.actors.message import Untrusted
from callboard.names import checked

T = TypeVar("T")


class Mood(enum.StrEnum):
    """How somebody is."""

    GLAD = "glad"
    CROSS = "cross"


class Point(msgspec.Struct, frozen=True):
    """Where something is."""

    x: int
    y: Annotated[float, msgspec.Meta(ge=0, description="upwards")] = 0.0


class Note(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A text about places."""

    text: Annotated[str, msgspec.Meta(max_length=20, pattern="^[a-z ]*$")]
    mood: Annotated[Mood, msgspec.Meta(description="of the writer")]
    at: list[Point]
    pair: tuple[int, str] = (0, "")
    flag: bool | None = None


class Tree(msgspec.Struct, frozen=True):
    """A tree of notes."""

    name: str
    below: "list[Annotated[Tree, msgspec.Meta(description='a branch')]]" = []


class Verdict(Message):
    """What the agent decided."""

    actor: str
    share: Annotated[int, msgspec.Meta(ge=0, le=100)]

    def __post_init__(self) -> None:
        checked(self.actor, "actor")
        if self.actor == "nobody" and self.share:
            raise ValueError("nobody has no share")


class Refusal(Message):
    """Why the agent decided nothing."""

    why: Untrusted[str]


class Box(msgspec.Struct, Generic[T], frozen=True):
    """Something around something."""

    inside: T


class Loose(TypedDict, total=False):
    """A dict with known keys."""

    a: int


WORDS = st.text("abc xyz", max_size=20)
POINTS = st.builds(Point, x=st.integers(-(2**53), 2**53), y=st.floats(0, 1e9))
NOTES = st.builds(
    Note, text=WORDS, mood=st.sampled_from(Mood), at=st.lists(POINTS, max_size=3),
    pair=st.tuples(st.integers(0, 9), WORDS), flag=st.none() | st.booleans(),
)  # fmt: skip
TREES = st.recursive(
    st.builds(Tree, name=WORDS), lambda inner: st.builds(Tree, name=WORDS, below=st.lists(inner, max_size=2))
)
VERDICTS = st.builds(Verdict, actor=st.sampled_from(["clerk", "guard-2"]), share=st.integers(0, 100))
KINDS: Final[list[tuple[Any, st.SearchStrategy[Any]]]] = [
    (Note, NOTES), (Point, POINTS), (Tree, TREES), (Verdict, VERDICTS), (Box[Note], st.builds(Box, inside=NOTES)),
    (Verdict | Refusal, VERDICTS | st.builds(Refusal, why=WORDS)), (list[int], st.lists(st.integers(-(2**53), 2**53))),
    (int, st.integers(-(2**53), 2**53)), (str, WORDS), (bool, st.booleans()), (None, st.none()),
    (Mood, st.sampled_from(Mood)),
    (Literal["yes", "no", 3, None], st.sampled_from(["yes", "no", 3, None])), (int | str | None, st.none() | WORDS),
    (dict[str, int], st.dictionaries(WORDS, st.integers(0, 9))), (Loose, st.just({"a": 1})), (dt.date, st.dates()),
    (tuple[int, ...], st.lists(st.integers(0, 9)).map(tuple)), (Untrusted[str], WORDS),
    (set[int], st.sets(st.integers(0, 9))),
]  # fmt: skip
NAMES: Final = [str(getattr(kind, "__name__", kind)) for kind, _ in KINDS]
EACH: Final = pytest.mark.parametrize(("kind", "values"), KINDS, ids=NAMES)
KEYWORDS: Final = {
    "type", "enum", "anyOf", "items", "properties", "required", "additionalProperties", "description", "$ref", "$defs",
}  # fmt: skip


TYPES: Final[dict[str, Any]] = {
    "string": str, "boolean": bool, "integer": int, "number": (int, float), "null": type(None), "array": list,
    "object": dict,
}  # fmt: skip


def encoded(kind: Any, value: Any) -> str:
    """Return an answer as a model would give it."""
    wrapped = list(form_of(kind).schema["properties"]) == ["answer"]
    return msgspec.json.encode({"answer": value} if wrapped else value).decode()


def misfit_of(kind: Any, text: str) -> Misfit | None:
    """Return what is wrong with an answer; None if nothing is."""
    try:
        read_answer(kind, text)
    except Misfit as misfit:
        return misfit
    return None


def fits(value: Any, schema: dict[str, Any], parts: dict[str, Any]) -> bool:
    """Judge a value by a schema as an endpoint would."""
    if "$ref" in schema:
        return fits(value, parts[schema["$ref"].removeprefix("#/$defs/")], parts)
    if "anyOf" in schema:
        return any(fits(value, each, parts) for each in schema["anyOf"])
    kinds = [schema["type"]] if isinstance(schema.get("type"), str) else schema.get("type", [])
    if kinds and not any(isinstance(value, TYPES[each]) for each in kinds):
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    if isinstance(value, list) and "items" in schema:
        return all(fits(each, schema["items"], parts) for each in value)
    if isinstance(value, dict) and "properties" in schema:
        known = schema["properties"]
        whole = set(schema["required"]) <= set(value) <= set(known)
        return whole and all(fits(each, known[name], parts) for name, each in value.items())
    return True


def walk(schema: Any) -> list[dict[str, Any]]:
    """Return the schema and all schemas in it."""
    inner = [*schema.get("properties", {}).values(), *schema.get("$defs", {}).values(), *schema.get("anyOf", [])]
    inner += [part for key in ("items", "additionalProperties") if isinstance(part := schema.get(key), dict)]
    return [schema, *(each for part in inner for each in walk(part))]


@EACH
@given(data=st.data())
def test_each_value_of_a_type_comes_back_from_an_answer_that_fits_the_form(
    kind: Any, values: st.SearchStrategy[Any], data: st.DataObject
) -> None:
    value = data.draw(values)
    text = encoded(kind, value)
    assert read_answer(kind, text) == value
    assert read_answer(kind, f" \n```json\n{text}\n```\n") == value
    schema = form_of(kind).schema
    assert fits(json.loads(text), schema, schema.get("$defs", {}))


@EACH
def test_a_form_is_one_that_strict_endpoints_take(kind: Any, values: st.SearchStrategy[Any]) -> None:
    form = form_of(kind)
    assert form.schema["type"] == "object"
    assert "anyOf" not in form.schema
    assert form.name.replace("_", "").replace("-", "").isalnum()
    assert len(form.name) <= 64
    for part in walk(form.schema):
        assert set(part) <= KEYWORDS
        assert len({"type", "anyOf", "$ref"} & set(part)) == 1, "each says what it is, once"
        assert "$ref" not in part or set(part) == {"$ref"}
        if "properties" in part:
            assert part["required"] == list(part["properties"])
            assert part["additionalProperties"] is False
    assert form_of(kind) is form, "made once"
    referred = {part["$ref"].removeprefix("#/$defs/") for part in walk(form.schema) if "$ref" in part}
    assert referred == set(form.schema.get("$defs", {}))


def test_what_cannot_be_sent_as_a_bound_is_said_in_words() -> None:
    fields = form_of(Note).schema["properties"]
    assert fields["text"] == {
        "type": "string", "description": "(at most 20 characters; matches the regular expression ^[a-z ]*$)",
    }  # fmt: skip
    assert fields["mood"] == {"anyOf": [{"$ref": "#/$defs/Mood"}], "description": "of the writer"}
    assert fields["pair"]["description"] == "(at least 2 items; at most 2 items; in this order: integer, string)"
    assert form_of(Note).schema["$defs"]["Point"]["properties"]["y"]["description"] == "upwards (0 or more)"
    assert form_of(Verdict).schema["properties"]["type"] == {"type": "string", "enum": ["Verdict"]}


@EACH
@given(data=st.data())
def test_any_text_is_a_value_or_a_misfit(kind: Any, values: st.SearchStrategy[Any], data: st.DataObject) -> None:
    text = encoded(kind, data.draw(values))
    at, length = data.draw(st.integers(0, len(text))), data.draw(st.integers(0, 6))
    for bad in (text[:at] + data.draw(st.text(max_size=4)) + text[at + length :], data.draw(st.text())):
        misfit = misfit_of(kind, bad)
        assert misfit is None or (misfit.path.startswith("$") and misfit.reason.isprintable())
        f"{misfit}".encode()


@pytest.mark.parametrize(
    ("kind", "text", "path", "said"),
    [
        (Note, '{"text":"a","mood":"glad","at":[{"x":1},{"x":"2"}]}', "$.at[1].x", "Expected `int`, got `str`"),
        (Note, '{"text":"a","mood":"sad","at":[]}', "$.mood", "Invalid enum value 'sad'"),
        (Note, '{"text":"a","mood":"glad","at":[],"more":1}', "$", "unknown field `more`"),
        (Note, '{"text":"a","mood":"glad"', "$", "truncated"),
        (Note, '{"text":"A","mood":"glad","at":[]}', "$.text", "matching regex"),
        (int, '{"answer":"7"}', "$.answer", "Expected `int`, got `str`"),
        (int, "7", "$", "Expected `object`"),
        (int, '{"answer":7,"why":"so"}', "$", "unknown field `why`"),
        (list[int], '{"answer":[1,true]}', "$.answer[1]", "Expected `int`, got `bool`"),
        (Verdict, '{"type":"Verdict","actor":"nobody","share":5}', "$", "nobody has no share"),
        (Verdict, '{"type":"Verdict","actor":"No One","share":5}', "$", "'No One' is not an actor name"),
        (Verdict, '{"type":"Other","actor":"a","share":5}', "$.type", "Invalid value 'Other'"),
        (Verdict, '{"type":"Verdict","actor":"a","share":101}', "$.share", "<= 100"),
        (Box[Verdict], '{"inside":{"type":"Verdict","actor":"nobody","share":5}}', "$.inside", "nobody has no share"),
        (Tree, '{"name":"","below":[' * 5_000, "$", "recursion"),
        (str, '{"answer":"\ud800"}', "$", "surrogates not allowed"),
        (str, "", "$", "truncated"),
    ],
)
def test_a_misfit_says_where_and_why_in_words_for_the_model(kind: Any, text: str, path: str, said: str) -> None:
    with pytest.raises(Misfit, match=said.replace("[", r"\[")) as caught:
        read_answer(kind, text)
    assert caught.value.path == path


@pytest.mark.parametrize(
    "text",
    ['Sure! {"answer": 7}', '{"answer": 7} That is it.', '```\n{"answer": 7}\n```', '```json\n{"answer": 7}',
     '```json\n{"answer": 7}\n```\n```json\n{"answer": 7}\n```', '{"answer": 7}{"answer": 7}', '"{\\"answer\\": 7}"',
     '```json```', '{"answer": 7.0}', '{"answer": NaN}', "{'answer': 7}"],
)  # fmt: skip
def test_nothing_else_around_an_answer_is_taken_off(text: str) -> None:
    with pytest.raises(Misfit):
        read_answer(int, text)


@pytest.mark.parametrize("kind", [complex, list[object], "Nowhere", Point | Tree])
def test_a_type_that_no_model_can_be_asked_for_is_refused(kind: Any) -> None:
    with pytest.raises(UnfitType, match="a model cannot be asked for"):
        form_of(kind)
    with pytest.raises(UnfitType):
        read_answer(kind, "{}")


def test_a_repair_shows_the_answer_cut_and_says_what_is_wrong() -> None:
    turns = (Turn(role="system", content="Sort."), Turn(role="user", content="This."))
    request = Request(model="m", turns=turns, most=100, form=form_of(int))
    again = repair(request, '{"answer": "\ud800' + "7" * 9_000, Misfit("$.answer", "Expected `int`, got `str`"))
    assert again.turns[:2] == turns
    assert [turn.role for turn in again.turns[2:]] == ["assistant", "user"]
    assert len(again.turns[2].content) == RAW_MOST
    assert again.turns[3].content.startswith("That does not fit. At $.answer: Expected `int`, got `str`. Answer again")
    assert msgspec.structs.replace(again, turns=turns) == request
    assert repair(request, "", Misfit("$", "nothing")).turns[2].content == "(nothing)"
    msgspec.json.encode(again)
