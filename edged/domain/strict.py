"""JSON that hides nothing, and its dates: for documents that anybody may have written."""

from __future__ import annotations

import json
import math
import re
from datetime import datetime, timezone
from typing import Any

MAX_DIGITS = 18
"""Every integer of so many digits fits into 64 bits; longer ones cost quadratic time to read."""

_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII
)


def read_json(payload: bytes, max_depth: int) -> Any:
    """Parse JSON. Raises ValueError, with the reason in words, for what the standard library would let pass or choke on.

    The depth is checked before anything is parsed: the parser recurses. The caller bounds the size.
    """
    try:
        text = payload.decode()
    except UnicodeDecodeError as error:
        message = f"no UTF-8 at byte {error.start}"
        raise ValueError(message) from error
    if _depth(text) > max_depth:
        message = f"nested deeper than {max_depth}"
        raise ValueError(message)
    return json.loads(
        text, object_pairs_hook=_once, parse_constant=_no_constant, parse_int=_integer, parse_float=_finite
    )


def unix_ms(text: Any) -> int | None:
    """Read a date of RFC 3339 as Unix time in ms; None for anything else."""
    found = _RFC3339.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    fraction, sign, offset_h, offset_min = found.groups()[6:]
    try:
        # A leap second is told as 60, which no calendar here has: the second before it is near enough.
        whole = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=timezone.utc).timestamp()
    except ValueError:
        return None
    east_s = (int(offset_h) * 60 + int(offset_min)) * 60 if sign else 0
    ms = int((fraction or "").ljust(3, "0")[:3])
    return (int(whole) - (-east_s if sign == "-" else east_s)) * 1000 + ms


def _depth(text: str) -> int:
    """Count brackets outside of strings. One pass: a regular expression for strings takes a second on hostile quotes."""
    depth = deepest = 0
    in_string = escaped = False
    for character in text:
        if in_string:
            in_string = escaped or character != '"'
            escaped = character == "\\" and not escaped
        elif character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        else:
            in_string = character == '"'
            depth -= character in "]}"
    return deepest


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) != len(pairs):
        message = "a key comes twice"
        raise ValueError(message)
    return names


def _no_constant(name: str) -> Any:
    message = f"{name} is no JSON"
    raise ValueError(message)


def _integer(digits: str) -> int:
    if len(digits.lstrip("-")) > MAX_DIGITS:
        message = f"an integer of {len(digits)} digits"
        raise ValueError(message)
    return int(digits)


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        message = "a number out of range"
        raise ValueError(message)
    return value
