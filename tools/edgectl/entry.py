"""The configuration's entry for a source, as ``edged check`` takes it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from edgectl.bundle.toml import section
from edged.config.schema import CameraSource, SerialSource
from edged.domain.errors import ConfigError

Made = TypeVar("Made", CameraSource, SerialSource)

MOST_CHARS = 64
"""Of a name: edged.config.keys."""


def entry(source: CameraSource | SerialSource) -> str:
    """Write the ``[[source]]`` table, without what is usual."""
    return section("[[source]]", table(source))


def table(source: CameraSource | SerialSource) -> dict[str, Any]:
    """Give the keys that have to be said, in the schema's order."""
    told: dict[str, Any] = {"name": source.name, "kind": source.kind}
    return told | source.model_dump(mode="json", exclude_defaults=True, exclude={"name", "kind"})


def name_of(text: str, otherwise: str) -> str:
    """Make a source's name of any text: small letters, digits and dashes."""
    words = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:MOST_CHARS].strip("-")
    return words or otherwise


def as_json(source: CameraSource | SerialSource) -> Mapping[str, Any]:
    """Give the entry for a JSON document: as a table, and as the text to copy."""
    return {"source": table(source), "entry": entry(source) + "\n"}


def made(kind: type[Made], keys: Mapping[str, Any]) -> Made:
    """Make a source of what was asked for, without what is None. Raises ConfigError when the configuration would not take it."""
    try:
        return kind.model_validate({key: value for key, value in keys.items() if value is not None})
    except ValidationError as error:
        told = error.errors()[0]
        where = ".".join(map(str, told["loc"])) or "the source"
        message = f"cannot use {where}: {told['msg'].removeprefix('Value error, ')}"
        raise ConfigError(message, remedy="docs/reference/configuration.md tells what it may be") from None
