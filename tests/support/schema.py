"""Enough of JSON Schema 2020-12 to hold real answers against the API's own document: every keyword that it uses."""

import re
from typing import Any

TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "null": type(None),
}
NOTES = {"title", "description", "default", "examples", "format"}


def mismatches(schema: dict[str, Any], value: Any, document: dict[str, Any], at: str = "") -> list[str]:
    """Where `value` differs from `schema`, and how. Stricter than the standard: what nobody described differs too."""
    if "$ref" in schema:
        return mismatches(resolve(schema["$ref"], document), value, document, at)
    if "anyOf" in schema:
        tried = [mismatches(option, value, document, at) for option in schema["anyOf"]]
        return [] if [] in tried else [f"{at}: fits none of {tried}"]
    unknown = set(schema) - NOTES - {"type", "properties", "required", "items", "enum", "const", "pattern", *BOUNDS}
    assert unknown <= {"additionalProperties"}, f"the checker does not know {unknown}"
    if "type" in schema and not has_type(value, schema["type"]):
        return [f"{at}: {value!r} is no {schema['type']}"]
    found = [f"{at}: {value!r} is not among {schema['enum']}"] if value not in schema.get("enum", [value]) else []
    found += [
        f"{at}: {value!r} is beyond {key}"
        for key, within in BOUNDS.items()
        if key in schema and not within(value, schema[key])
    ]
    if "pattern" in schema and not re.search(schema["pattern"], value):
        found.append(f"{at}: {value!r} does not match {schema['pattern']}")
    if isinstance(value, dict):
        found += object_mismatches(schema, value, document, at)
    if isinstance(value, list):
        for number, item in enumerate(value):
            found += mismatches(schema["items"], item, document, f"{at}[{number}]")
    return found


BOUNDS: dict[str, Any] = {
    "minimum": lambda value, bound: value >= bound,
    "maximum": lambda value, bound: value <= bound,
    "minLength": lambda value, bound: len(value) >= bound,
    "maxLength": lambda value, bound: len(value) <= bound,
    "minItems": lambda value, bound: len(value) >= bound,
    "maxItems": lambda value, bound: len(value) <= bound,
}


def object_mismatches(schema: dict[str, Any], value: dict[str, Any], document: dict[str, Any], at: str) -> list[str]:
    properties = schema.get("properties", {})
    found = [f"{at}.{name}: missing" for name in schema.get("required", []) if name not in value]
    for name, item in value.items():
        if name in properties:
            found += mismatches(properties[name], item, document, f"{at}.{name}")
        elif schema.get("additionalProperties") is not True:
            found.append(f"{at}.{name}: not described")
    return found


def has_type(value: Any, name: str) -> bool:
    if name in ("number", "integer"):
        return isinstance(value, int if name == "integer" else int | float) and not isinstance(value, bool)
    return isinstance(value, TYPES[name])


def resolve(reference: str, document: dict[str, Any]) -> dict[str, Any]:
    """What `#/components/schemas/X` points to. Raises KeyError."""
    found: Any = document
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    assert isinstance(found, dict)
    return found
