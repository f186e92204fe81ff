"""The smallest value that fits a JSON schema: what a scripted model says where nobody told it what to say. Pure."""

from typing import Any, cast

_DEEP = 30
_EMPTY: dict[str, Any] = {"string": "", "integer": 0, "number": 0, "boolean": False, "null": None}


def fitting(schema: dict[str, Any]) -> Any:
    """Return a value for `schema`: the first of each choice, only what is required, and nothing longer than it must."""
    return _fit(schema, schema.get("$defs", {}), 0)


def _fit(schema: dict[str, Any], shared: dict[str, Any], depth: int) -> Any:
    if depth > _DEEP:
        return None
    if "$ref" in schema:
        return _fit(shared[schema["$ref"].rpartition("/")[2]], shared, depth + 1)
    for name in ("anyOf", "oneOf", "allOf"):
        if name in schema:
            return _fit(schema[name][0], shared, depth + 1)
    if "const" in schema or "enum" in schema:
        return schema["const"] if "const" in schema else schema["enum"][0]
    return _plain(schema, shared, depth)


def _plain(schema: dict[str, Any], shared: dict[str, Any], depth: int) -> Any:
    kind = schema.get("type", "object" if "properties" in schema else "null")
    kind = cast("list[str]", kind)[0] if isinstance(kind, list) else kind
    if kind == "object":
        properties = schema.get("properties", {})
        return {name: _fit(properties[name], shared, depth + 1) for name in schema.get("required", ())}
    if kind == "array":
        if "prefixItems" in schema:
            return [_fit(part, shared, depth + 1) for part in schema["prefixItems"]]
        return [_fit(schema.get("items", {}), shared, depth + 1) for _ in range(schema.get("minItems", 0))]
    if kind == "string":
        return "x" * schema.get("minLength", 0)
    return _number(schema) if kind in {"integer", "number"} else _EMPTY[kind]


def _number(schema: dict[str, Any]) -> float:
    """Return zero, or what is nearest to it within the limits."""
    low = schema.get("minimum", schema["exclusiveMinimum"] + 1 if "exclusiveMinimum" in schema else None)
    high = schema.get("maximum", schema["exclusiveMaximum"] - 1 if "exclusiveMaximum" in schema else None)
    found = 0 if low is None else max(0, low)
    return found if high is None else min(found, high)
