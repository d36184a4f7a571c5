"""The part of the configuration that was ordered over the air: a file in the state directory, read after all others.

slots/.configuration/pointer.json    says which is in force, by its digest (edged.update.records.Pointer)
configuration/<sha256>.toml          what was ordered, now and before
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SLOT = ".configuration"
FOLDER = "configuration"
NEVER = ("device", "state", "updates")
"""Sections that no order may have: who the box is, where it keeps what it knows, and whom it trusts stay with whoever installs it."""
_DIGEST = re.compile(r"[0-9a-f]{64}")


def forbidden(tables: Mapping[str, Any]) -> list[str]:
    """Name what an order brings and must not: those sections, and programs. Whoever orders models does not run programs here."""
    engines, actions = tables.get("engine"), tables.get("action")
    named = engines.items() if isinstance(engines, dict) else ()
    listed = actions if isinstance(actions, list) else ()
    return [
        *(f"[{name}]" for name in tables if name in NEVER),
        *(f"[engine.{name}] python" for name, one in named if isinstance(one, dict) and "python" in one),
        *("[[action]] of kind command" for one in listed if isinstance(one, dict) and one.get("kind") == "command"),
    ]


def fragment(state: Path, digest: str) -> Path:
    """Give the file of this digest."""
    return state / FOLDER / f"{digest}.toml"


def in_force(state: Path) -> Path | None:
    """Give the file that is in force; None when nothing was ordered, or it may not be read by whoever asks."""
    for name in ("pointer.json", "pointer.json~"):
        try:
            active = json.loads((state / "slots" / SLOT / name).read_bytes())["active"]
            file = fragment(state, active["digest"] if active and _DIGEST.fullmatch(active["digest"]) else "")
            return file if file.is_file() else None
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None
