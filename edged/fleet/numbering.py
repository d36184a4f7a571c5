"""A document's own number in it, and those of others: only who numbers them knows which they got."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def with_numbers(body: Mapping[str, Any], number: Callable[[str], int]) -> Mapping[str, Any]:
    """Give an alert that declares the last results of a stream suspect their numbers; any other document as it is.

    ``number`` gives the last one of a stream: what was put before the alert has its own by now.
    """
    suspect = body.get("suspect")
    if not isinstance(suspect, dict) or not suspect["told"]:
        return body
    last = number(suspect["stream"])
    first = max(1, last - suspect["told"] + 1)
    return {**body, "suspect": {**suspect, "first_seq": first, "last_seq": last}}


def encoded(body: Mapping[str, Any], device: str, seq: int, number: Callable[[str], int]) -> bytes:
    """Give a document as it is sent; ``number`` as for ``with_numbers``.

    Raises KeyError for one without a schema; TypeError, ValueError or RecursionError for what is no JSON.
    """
    body = with_numbers(body, number)
    document = _encode({"schema": body["schema"], "device": device, **body, "seq": seq})
    # A file's name that is no text stands in a reason as it was read: a question mark costs less than the box's health.
    return document.encode("utf-8", "replace")
