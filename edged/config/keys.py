"""The kinds of value that keys of the configuration have, and what all its sections share."""

from __future__ import annotations

import math
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
YEAR_S = 366 * DAY_S
MAX_HOST_CHARS = 253
"""The longest name of a host (RFC 1035, 2.3.4)."""
LEAST_AREA = 1e-9
"""Twice the area of a triangle, as a fraction of the picture: far below a pixel."""

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


def _without_nul(text: str) -> str:
    if "\0" in text:
        message = f"cannot use {text!r:.60}: it holds a NUL, expected text"
        raise ValueError(message)
    return text


def _a_host(host: str) -> str:
    try:
        host.encode("idna")
    except UnicodeError:
        is_one = False
    else:
        is_one = host.isprintable() and not set(host) & set(" /@")
    if not is_one:
        # Behind an @ alone: before it may stand a password.
        message = f"cannot use host {host.rpartition('@')[2]!r:.60}, expected a name or an address"
        raise ValueError(message)
    if host.count(":") == 1:
        # An IPv6 address has two colons at least.
        message = f"cannot use host {host!r:.60}, expected a name or an address alone: the port has a key of its own"
        raise ValueError(message)
    return host


def _with_area(corners: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
    (x0, y0), *others = corners
    x1, y1 = max(others, key=lambda point: math.dist(point, (x0, y0)))
    if all(abs((x1 - x0) * (y - y0) - (y1 - y0) * (x - x0)) < LEAST_AREA for x, y in others):
        message = f"cannot use polygon {list(map(list, corners))!r:.80}: its corners lie on one line, expected an area"
        raise ValueError(message)
    return corners


def _with_length(
    ends: tuple[tuple[float, float], tuple[float, float]],
) -> tuple[tuple[float, float], tuple[float, float]]:
    if ends[0] == ends[1]:
        message = f"cannot use line {list(map(list, ends))!r:.80}: both ends are one point, expected two"
        raise ValueError(message)
    return ends


# TOML tells true from 1 and "1" from 1, so edged does too.
Whole = Annotated[int, Strict()]
Number = Annotated[float, Strict()]
Flag = Annotated[bool, Strict()]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,64}$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=4096), AfterValidator(_without_nul)]
Host = Annotated[str, StringConstraints(min_length=1, max_length=MAX_HOST_CHARS), AfterValidator(_a_host)]
Url = Annotated[Text, AfterValidator(_without_user_information)]
FileName = Annotated[Path, AfterValidator(_a_file_name)]
"""As it stands there: it may be one that is looked up."""
File = Annotated[FileName, AfterValidator(Path.absolute)]
"""Counts from the folder in which edged was started: child processes live in another one."""
Fraction = Annotated[float, Strict(), Field(ge=0, le=1)]
Seconds = Annotated[float, Strict(), Field(ge=0, le=DAY_S)]
Rate = Annotated[float, Strict(), Field(gt=0, le=1_000_000)]
Fps = Annotated[float, Strict(), Field(gt=0, le=1000)]
Pixels = Annotated[int, Strict(), Field(gt=0, le=16_384)]
Point = tuple[Fraction, Fraction]
Segment = Annotated[tuple[Point, Point], AfterValidator(_with_length)]
Polygon = Annotated[tuple[Point, ...], Field(min_length=3, max_length=256), AfterValidator(_with_area)]
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
