"""What edgectl was told, so that it can be shown: no text steers the terminal, and a document for programs is JSON throughout."""

from __future__ import annotations

import json
import sys
from typing import Any

from edged.telemetry.jsontext import json_text


def plain(text: str, instead: str = "?") -> str:
    """Give a text without control characters: a device, a file or a box calls itself whatever somebody wrote there."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one == "\n" else instead for one in text)


def one_line(text: str) -> str:
    """Give a text for one line."""
    return plain(text).replace("\n", "?")


def print_json(document: Any) -> None:
    """Print one document on standard output, and nothing else."""
    sys.stdout.write(as_json(document))


def as_json(document: Any) -> str:
    """Write a document as JSON has it, one key a line: what is no number there is null, and control characters are escaped."""
    text = json_text(document, lambda _value: None, indent=1, ensure_ascii=False, default=list)
    # Only in strings can there be any; names that are no UTF-8 are among them.
    return "".join(one if one.isprintable() or one == "\n" else json.dumps(one)[1:-1] for one in text) + "\n"
