"""Tools for models that know none: asked for as a typed choice, and turned back into a call or an answer."""

from typing import Any

import msgspec
import pytest

from callboard.actors.llm.door.tools_by_schema import from_schema, to_schema
from callboard.actors.llm.door.where import Where
from callboard.actors.llm.errors import BadAnswer
from callboard.actors.llm.reply import Reply, Usage
from callboard.actors.llm.request import AnswerForm, Request, ToolCall, ToolForm, Turn

WHERE = Where("there", "127.0.0.1:1", model="small-1", key="")


class Place(msgspec.Struct):
    city: str


class Trip(msgspec.Struct):
    start: Place
    end: Place


def tool(name: str, kind: type[msgspec.Struct]) -> ToolForm:
    return ToolForm(name=name, about=f"Does {name}.", parameters=msgspec.json.schema(kind))


def request(*turns: Turn, **changes: Any) -> Request:
    values: dict[str, Any] = {"model": "m", "most": 50, "tools": (tool("weather", Place), tool("train", Trip))}
    return Request(turns=turns or (Turn(role="user", content="?"),), **(values | changes))


def schema(asked: Request) -> dict[str, Any]:
    form = to_schema(asked).form
    assert form is not None
    return form.schema


def references(part: Any) -> set[str]:
    """Return what a schema refers to."""
    if isinstance(part, list):
        return {found for each in part for found in references(each)}
    if not isinstance(part, dict):
        return set()
    own = {part["$ref"]} if "$ref" in part else set()
    return own | {found for each in part.values() for found in references(each)}


def test_the_choice_is_one_shape_for_each_tool_and_one_for_the_answer() -> None:
    shapes = schema(request(tools=(ToolForm(name="now", about="", parameters={"type": "object"}),)))["anyOf"]
    rest = {"type": "object", "additionalProperties": False}
    assert shapes == [
        rest | {"required": ["tool", "arguments"], "properties": {
            "tool": {"type": "string", "enum": ["now"]}, "arguments": {"type": "object"}}},
        rest | {"required": ["answer"], "properties": {"answer": {"type": "string"}}},
    ]  # fmt: skip


def test_what_schemas_refer_to_is_found_at_the_root_also_where_names_are_the_same() -> None:
    form = AnswerForm(name="trip", schema=msgspec.json.schema(Trip))
    found = schema(request(form=form))
    assert references(found) == {f"#/$defs/{name}" for name in found["$defs"]}
    assert {name.partition(".")[0] for name in found["$defs"]} == {"tool0", "tool1", "answer"}
    assert "$defs" not in repr(found["anyOf"]).replace("#/$defs/", "")


def test_the_instruction_follows_the_system_turn_and_names_each_tool() -> None:
    asked = to_schema(request(Turn(role="system", content="Be short."), Turn(role="user", content="Rain?")))
    first, second = asked.turns
    assert first.role == "system"
    assert first.content.startswith("Be short.\n\nYou can use tools.")
    assert all(line in first.content for line in ("- weather: Does weather.", "- train: Does train.", '{"answer":'))
    assert second == Turn(role="user", content="Rain?")
    assert asked.tools == ()


def test_without_a_system_turn_there_is_one() -> None:
    assert [turn.role for turn in to_schema(request()).turns] == ["system", "user"]


def test_what_was_called_and_what_came_of_it_are_plain_turns_that_take_turns() -> None:
    calls = tuple(ToolCall(id=name, name="weather", arguments=f'{{"city":"{name}"}}') for name in ("Ulm", "Bonn"))
    asked = to_schema(
        request(
            Turn(role="user", content="Rain?"),
            Turn(role="assistant", content="Let me see.", calls=calls),
            Turn(role="tool", content="no", answers="Ulm"),
            Turn(role="tool", content="yes", answers="Bonn"),
            Turn(role="user", content="Well?"),
        )
    )
    assert asked.turns[2:] == (
        Turn(
            role="assistant",
            content='Let me see.\n{"tool": "weather", "arguments": {"city":"Ulm"}}\n'
            '{"tool": "weather", "arguments": {"city":"Bonn"}}',
        ),
        Turn(role="user", content="The result of weather: no\n\nThe result of weather: yes\n\nWell?"),
    )


def test_a_tool_that_was_named_is_a_call_with_an_id_that_no_other_of_the_conversation_has() -> None:
    usage = Usage(input=3, output=2)
    reply = Reply(text='{"tool": "weather", "arguments": {"city": "Ulm"}}', served="m", usage=usage)
    before = Turn(role="assistant", calls=(ToolCall(id="call_0", name="weather", arguments="{}"),))
    call = ToolCall(id="call_1", name="weather", arguments='{"city": "Ulm"}')
    assert from_schema(reply, request(before), WHERE) == Reply(text="", calls=(call,), served="m", usage=usage)


@pytest.mark.parametrize(("said", "text"), [('{"answer": "4\\u00e9"}', "4é"), ('{"answer": {"a": [1]}}', '{"a": [1]}')])
def test_an_answer_is_its_text_and_a_typed_one_its_json(said: str, text: str) -> None:
    assert from_schema(Reply(text=said), request(), WHERE) == Reply(text=text)


@pytest.mark.parametrize(
    "said", ["", "hello", "[]", "{}", '{"tool": ""}', '{"tool": "a", "answer": "b"}', '{"answer": ""}', '{"tool": 3}']
)
def test_what_is_neither_is_no_answer(said: str) -> None:
    with pytest.raises(BadAnswer) as caught:
        from_schema(Reply(text=said), request(), WHERE)
    assert caught.value.reply == Reply(text=said)
