"""JSON schemas as endpoints take them for an answer.

What strict endpoints agree on is small: closed objects whose fields are all required, and no bounds. So what else a
type says goes into the description, where the model can read it; the decoder holds it to the letter anyway.
"""

from typing import Any, Final, cast

Schema = dict[str, Any]

_WORDS: Final = {
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "pattern": "matches the regular expression {}",
    "format": "format: {}",
    "contentEncoding": "in {}",
    "minimum": "{} or more",
    "maximum": "{} or less",
    "exclusiveMinimum": "more than {}",
    "exclusiveMaximum": "less than {}",
    "multipleOf": "a multiple of {}",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "uniqueItems": "no item twice",
    "minProperties": "at least {} keys",
    "maxProperties": "at most {} keys",
}
"""How a bound that cannot be sent as one is said to the model."""
_TYPES: Final = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}


def closed(schema: Schema) -> Schema:
    """Return what msgspec says of a type, made fit for strict endpoints; the root is no reference any more."""
    given = schema.get("$defs", {})
    root = _fit(schema, given)
    kept = {name: _fit(part, given) for name, part in given.items() if name in _named(root, given)}
    return {**root, "$defs": kept} if kept else root


def _fit(schema: Schema, given: dict[str, Schema]) -> Schema:
    if "$ref" in schema:
        return _of_reference(schema, given)
    fit: Schema = {key: schema[key] for key in ("type", "enum") if key in schema}
    if "enum" in schema:
        fit["type"] = _type_of(schema["enum"])
    if "anyOf" in schema:
        fit["anyOf"] = [_fit(each, given) for each in schema["anyOf"]]
    fit |= _items(schema, given) | _fields(schema, given)
    if said := _said(schema):
        fit["description"] = said
    return fit


def _of_reference(schema: Schema, given: dict[str, Schema]) -> Schema:
    """A reference has nothing beside it, and is not at the root: there, what it refers to is written out."""
    if "$defs" in schema:
        return _fit(given[str(schema["$ref"]).rpartition("/")[2]], given)
    plain = {"$ref": schema["$ref"]}
    return {"anyOf": [plain], "description": said} if (said := _said(schema)) else plain


def _items(schema: Schema, given: dict[str, Schema]) -> Schema:
    """A list of several types in a fixed order is told as a list of any of them; the order is said in words."""
    if "prefixItems" in schema:
        kinds: list[Schema] = []
        for each in cast("list[Schema]", schema["prefixItems"]):
            if (fit := _fit(each, given)) not in kinds:
                kinds.append(fit)
        return {"items": kinds[0] if len(kinds) == 1 else {"anyOf": kinds}} if kinds else {}
    return {"items": _fit(schema["items"], given)} if isinstance(schema.get("items"), dict) else {}


def _fields(schema: Schema, given: dict[str, Schema]) -> Schema:
    if "properties" in schema:
        fields = {name: _fit(field, given) for name, field in schema["properties"].items()}
        return {"properties": fields, "required": list(fields), "additionalProperties": False}
    more = schema.get("additionalProperties")
    return {"additionalProperties": _fit(cast("Schema", more), given)} if isinstance(more, dict) else {}


def _said(schema: Schema) -> str:
    bounds = [words.format(schema[key]) for key, words in _WORDS.items() if key in schema and schema[key] is not False]
    if len(kinds := cast("list[Schema]", schema.get("prefixItems", []))) > 1:
        bounds.append(f"in this order: {', '.join(str(each.get('type', 'as described')) for each in kinds)}")
    return " ".join(
        part for part in (str(schema.get("description", "")), f"({'; '.join(bounds)})" if bounds else "") if part
    )


def _type_of(values: list[Any]) -> str | list[str]:
    kinds = list(dict.fromkeys(_TYPES[type(value)] for value in values))
    return kinds[0] if len(kinds) == 1 else kinds


def _named(root: Schema, given: dict[str, Schema]) -> set[str]:
    """Return which parts are referred to, from the root on."""
    seen: set[str] = set()
    waiting = _references(root)
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting |= _references(_fit(given[name], given))
    return seen


def _references(schema: Any) -> set[str]:
    if isinstance(schema, dict):
        parts = cast("Schema", schema)
        own = {str(parts["$ref"]).rpartition("/")[2]} if isinstance(parts.get("$ref"), str) else set[str]()
        return own.union(*map(_references, parts.values()))
    if isinstance(schema, list):
        return set[str]().union(*map(_references, cast("list[Any]", schema)))  # type: ignore[redundant-cast]  # not for pyright
    return set()
