"""Numbers of other documents in a document: only who numbers them knows which they got."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


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
