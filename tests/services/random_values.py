"""Random values of the chart, made of its own values.schema.json: what the schema allows, sensible or not."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

Schema = dict[str, Any]
# What YAML, Go's templates and TOML might take for something else.
AWKWARD = [
    *["x", "1", "007", "1e3", "0x1f", "1:30", "2024-01-01", "true", "null", "yes", "~", "%", "&a", "*a", "!x", "- a"],
    *["# c", "a: b", "a\nb", " x ", '"', "'", "\\", "\x7f", "ü", "{{ .Values }}"],
]  # fmt: skip


def strategy(schema: Schema, definitions: dict[str, Schema], *, fullness: int = 3) -> st.SearchStrategy[Any]:
    """Values that a schema allows, with at most so many optional keys in an object."""

    def of(schema: Schema, depth: int) -> st.SearchStrategy[Any]:
        if "$ref" in schema:
            name = schema["$ref"].removeprefix("#/definitions/")
            return st.deferred(lambda: of(definitions[name], depth))
        if "enum" in schema:
            return st.sampled_from(schema["enum"])
        if "const" in schema:
            return st.just(schema["const"])
        for several in ("oneOf", "anyOf"):
            if several in schema and "properties" not in schema:
                return st.one_of(*(of(each, depth) for each in schema[several]))
        kind = schema.get("type", "object")
        if isinstance(kind, list):
            return st.one_of(*(of({**schema, "type": each}, depth) for each in kind))
        makers = {"object": object_, "array": array, "string": string, "integer": integer, "number": number}
        return makers[kind](schema, depth) if kind in makers else st.booleans()

    def object_(schema: Schema, depth: int) -> st.SearchStrategy[Any]:
        properties = schema.get("properties", {})
        required = [*schema.get("required", ()), *(["alert"] if "oneOf" in schema else [])]
        optional = sorted(properties.keys() - set(required) - ({"record"} if "oneOf" in schema else set()))
        more = schema.get("additionalProperties", False)
        if not properties and isinstance(more, dict):
            keys = (
                string({**schema.get("propertyNames", {"enum": ["a", "b"]})}, depth)
                if "propertyNames" in schema
                else st.sampled_from(["a", "b"])
            )
            return st.dictionaries(keys, of(more, depth + 1), max_size=2)
        most = max(0, fullness - depth)
        chosen = st.lists(st.sampled_from(optional), max_size=most, unique=True) if optional and most else st.just([])
        return chosen.flatmap(
            lambda names: st.fixed_dictionaries({name: of(properties[name], depth + 1) for name in [*required, *names]})
        )

    def array(schema: Schema, depth: int) -> st.SearchStrategy[Any]:
        least = schema.get("minItems", 0)
        return st.lists(
            of(schema.get("items", {"type": "string"}), depth + 1),
            min_size=least,
            max_size=max(least, 2),
            unique_by=str,
        )

    def string(schema: Schema, depth: int) -> st.SearchStrategy[Any]:
        if "pattern" in schema:
            made = st.from_regex(
                schema["pattern"],
                fullmatch=True,
                alphabet=st.characters(codec="ascii", categories=("L", "N", "P", "S")),
            )
            return made.filter(lambda text: len(text) <= min(schema.get("maxLength", 40), 40))
        return st.sampled_from(AWKWARD)

    def integer(schema: Schema, depth: int) -> st.SearchStrategy[Any]:
        low, high = schema.get("minimum", 0), schema.get("maximum", 2**31 - 1)
        low = max(low, schema["exclusiveMinimum"] + 1) if "exclusiveMinimum" in schema else low
        return st.one_of(st.integers(int(low), min(int(high), int(low) + 100)), st.integers(int(low), int(high)))

    def number(schema: Schema, depth: int) -> st.SearchStrategy[Any]:
        low: Any = schema.get("minimum", schema.get("exclusiveMinimum", 0))
        return st.one_of(st.integers(int(low) + 1, 300), st.floats(low + 0.001, 300.0, allow_nan=False))

    return of(schema, 0)
