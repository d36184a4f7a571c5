"""The kinds of value that keys of the configuration have, and what all its sections share."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    Strict,
    StringConstraints,
    WithJsonSchema,
)

from edged.config.count import COUNT_PATTERN, Count

DAY_S = 86_400

# Anywhere in the text, since a GStreamer pipeline holds its URL in the middle.
_USER_INFORMATION = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#\s\"']*@")


def _without_user_information(url: str) -> str:
    if _USER_INFORMATION.search(url):
        message = "cannot use a URL with user information, expected username and password_file as keys of their own"
        raise ValueError(message)
    return url


def _a_file_name(path: Path) -> Path:
    if not path.name or "\0" in str(path):
        message = f"cannot use path {str(path)!r}, expected the name of a file or folder"
        raise ValueError(message)
    return path


# TOML tells true from 1 and "1" from 1, so edged does too.
Whole = Annotated[int, Strict()]
Number = Annotated[float, Strict()]
Flag = Annotated[bool, Strict()]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,64}$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=4096)]
Url = Annotated[str, StringConstraints(min_length=1, max_length=4096), AfterValidator(_without_user_information)]
File = Annotated[Path, AfterValidator(_a_file_name)]
Fraction = Annotated[float, Strict(), Field(ge=0, le=1)]
Seconds = Annotated[float, Strict(), Field(ge=0, le=DAY_S)]
Rate = Annotated[float, Strict(), Field(gt=0, le=1_000_000)]
Fps = Annotated[float, Strict(), Field(gt=0, le=1000)]
Pixels = Annotated[int, Strict(), Field(gt=0, le=16_384)]
Point = tuple[Fraction, Fraction]
Segment = tuple[Point, Point]
Polygon = Annotated[tuple[Point, ...], Field(min_length=3, max_length=256)]
Columns = Annotated[tuple[Text, ...], Field(min_length=1, max_length=4096)]
CountText = Annotated[
    Count,
    PlainValidator(Count.parse),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "pattern": COUNT_PATTERN}),
]


class Section(BaseModel):
    """What every section shares: unchangeable, no unknown keys, numbers finite, checked when first used."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, allow_inf_nan=False)
