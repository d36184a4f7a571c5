"""Says in plain words what the schema library found wrong, with the nearest known key or name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

KeyPath = tuple[str | int, ...]

_SHOWN_CHARACTERS = 60
"""Enough to recognise a value, short enough for one line."""


def _plain(number: float) -> str:
    return str(int(number)) if number == int(number) else str(number)


_EXPECTED: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "bool_type": lambda _: "true or false",
    "dict_type": lambda _: "a table",
    "finite_number": lambda _: "a finite number",
    "float_type": lambda _: "a number",
    "greater_than": lambda ctx: f"a number above {_plain(ctx['gt'])}",
    "greater_than_equal": lambda ctx: f"a number at least {_plain(ctx['ge'])}",
    "int_type": lambda _: "a whole number",
    "less_than": lambda ctx: f"a number below {_plain(ctx['lt'])}",
    "less_than_equal": lambda ctx: f"a number at most {_plain(ctx['le'])}",
    "literal_error": lambda ctx: str(ctx["expected"]),
    "model_type": lambda _: "a table",
    "model_attributes_type": lambda _: "a table",
    "path_type": lambda _: "the name of a file or folder",
    "string_pattern_mismatch": lambda ctx: f"text of the form {ctx['pattern'].strip('^$')}",
    "string_too_long": lambda ctx: f"at most {ctx['max_length']} characters",
    "string_too_short": lambda ctx: f"at least {ctx['min_length']} characters",
    "string_type": lambda _: "text",
    "too_long": lambda ctx: f"at most {ctx['max_length']} items",
    "too_short": lambda ctx: f"at least {ctx['min_length']} items",
    "tuple_type": lambda _: "a list",
    "union_tag_invalid": lambda ctx: f"one of {ctx['expected_tags']}",
    "union_tag_not_found": lambda _: "a value",
}
"""What was expected, by the schema library's name for the fault (docs.pydantic.dev/latest/errors/validation_errors)."""


def explain(error: ValidationError, models: Sequence[type[BaseModel]], document: Any) -> Iterator[tuple[KeyPath, str]]:
    """Give each fault's key path in ``document`` and a line about it.

    ``models`` are those that ``document`` was held against: one, or the members of a union.
    """
    for found in error.errors(include_url=False):
        if found["type"] == "too_short" and len(found["input"]) >= found["ctx"]["min_length"]:
            continue  # the library counts sound items only, and the others have their own faults
        path = _path_in(document, found["loc"], keep_last=found["type"] == "missing")
        if found["type"] in {"union_tag_not_found", "union_tag_invalid"}:
            # The key that tells the kind is the one at fault, and it is not in loc.
            path = (*path, str(found["ctx"]["discriminator"]).strip("'"))
        yield path, _line(found, path, _keys_at(models, found["loc"][:-1]))


def nearest(name: str, known: Iterable[str]) -> str:
    """Say what was expected in place of ``name``: the nearest known one, or all of them."""
    names = sorted(known)
    close = get_close_matches(name, names, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"expected one of {', '.join(names)}" if names else "expected none"


def shown(value: Any) -> str:
    """Write a value as its file does, short, and without what may be a secret."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    if isinstance(value, str) and "://" in value:
        return "a URL"
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def _line(found: Any, path: KeyPath, known: Iterable[str]) -> str:
    kind, context = found["type"], found.get("ctx", {})
    if kind == "extra_forbidden":
        return f"cannot use unknown key {path[-1]!r}: {nearest(str(path[-1]), known)}"
    if kind in {"missing", "union_tag_not_found"}:
        return "cannot do without this key: it is absent, expected a value"
    if kind == "value_error":
        return str(context["error"])
    expected = _EXPECTED.get(kind)
    wanted = expected(context) if expected else found["msg"]
    value = found["input"]
    if kind == "union_tag_invalid":
        value = found["input"].get(path[-1])
        tags = [tag.strip("'") for tag in context["expected_tags"].split(", ")]
        if close := get_close_matches(str(value), tags, n=1):
            return f"cannot use {shown(value)}: did you mean {close[0]!r}?"
    return f"cannot use {shown(value)}: expected {wanted}"


def _path_in(document: Any, loc: KeyPath, *, keep_last: bool) -> KeyPath:
    """Leave out the parts that name a member of a union or the word ``[key]``: they are no keys of the document."""
    path: list[str | int] = []
    for index, part in enumerate(loc):
        children = dict(enumerate(document)) if isinstance(document, list) else document
        if isinstance(children, dict) and part in children:
            document = children[part]
            path.append(part)
        elif keep_last and index == len(loc) - 1:
            path.append(part)
    return tuple(path)


def _keys_at(models: Sequence[type[BaseModel]], loc: KeyPath) -> list[str]:
    candidates = list(models)
    for part in loc:
        fields = [model.model_fields[part] for model in candidates if part in model.model_fields]
        if fields:
            candidates = [model for field in fields for model in models_in(field.annotation)]
        else:
            candidates = [model for model in candidates if _is_kind(model, part)] or candidates
    return [name for model in candidates for name in model.model_fields]


def _is_kind(model: type[BaseModel], tag: str | int) -> bool:
    field = model.model_fields.get("kind")
    return field is not None and tag in get_args(field.annotation)


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """Give the models that a type is made of: itself, a union's members, a tuple's items."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in models_in(argument)]
