"""JSON without numbers that are none: it has no word for NaN and infinity, and one of them makes a whole document unreadable."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any


def json_text(value: Any, instead: Callable[[float], Any], **how: Any) -> str:
    """Write ``value`` as ``json.dumps`` does with ``how``; ``instead`` gives what stands for a number that is none."""
    try:
        return json.dumps(value, allow_nan=False, **how)
    except ValueError:
        return json.dumps(_told(value, instead), allow_nan=False, **how)


def _told(value: Any, instead: Callable[[float], Any]) -> Any:
    if isinstance(value, float):
        return value if isfinite(value) else instead(value)
    if isinstance(value, Mapping):
        return {_key(key): _told(one, instead) for key, one in value.items()}
    return [_told(one, instead) for one in value] if isinstance(value, list | tuple) else value


def _key(key: Any) -> Any:
    return str(key) if isinstance(key, float) else key
