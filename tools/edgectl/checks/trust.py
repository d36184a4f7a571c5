"""Trust: the root that says who may sign, the metadata that the box has seen, and until when they are valid."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from edgectl.checks.rows import Ground, Row
from edged.update.disk import LocalDisk
from edged.update.trust_file import TrustFile

DAY_MS = 86_400_000
SOON_DAYS = {"root": 60.0, "targets": 30.0, "snapshot": 3.0, "timestamp": 2.0}
SIGNED = ("root", "targets")
"""Roles that are renewed by their keepers' signatures; the others by publishing."""


def rows(ground: Ground) -> Iterator[Row]:
    """Judge the provisioned root and what the daemon keeps of the repository's metadata."""
    updates = ground.config.updates
    if updates.repository is None or updates.trust is None:
        yield Row("root", "updates", "skipped", "no repository: models come from folders alone")
        return
    content = _read(updates.trust)
    if isinstance(content, str):
        remedy = f"sudo install -D -m 644 root.json {updates.trust}  # of the repository's metadata, from its keeper"
        yield Row("root", str(updates.trust), "fail", content, remedy)
        return
    if content.get("_type") is None and "signed" not in content:
        yield Row("root", str(updates.trust), "ok", "keys of the small profile, which have no end")
        return
    state = ground.config.state.directory
    # An older root is no fault: the client follows the chain from it to the newest.
    newest = max(
        (one for one in (content, _read(state / "trust" / "root.json")) if isinstance(one, dict)), key=_version
    )
    now_ms = TrustFile(state, LocalDisk()).read().time_ms(time.time_ns() // 1_000_000)
    is_old = newest is not content
    where = f"{updates.trust} (followed to version {_version(newest)})" if is_old else str(updates.trust)
    here = f"sudo install -m 644 root.json {updates.trust} && sudo systemctl restart edged"
    yield _dated("root", where, newest, now_ms, f"{_renewed('root')}; then give the new root.json to this box: {here}")
    for role in ("targets", "snapshot", "timestamp"):
        found = _read(state / "trust" / f"{role}.json")
        if isinstance(found, dict):
            yield _dated(role, str(updates.repository), found, now_ms, _renewed(role))


def _renewed(role: str) -> str:
    """Give what the repository's keeper does."""
    sign = f"edgectl repo rotate FOLDER {role} && edgectl repo sign FOLDER && " if role in SIGNED else ""
    return f"{sign}edgectl repo publish FOLDER  # where the repository is kept"


def _dated(role: str, subject: str, document: dict[str, Any], now_ms: int, remedy: str) -> Row:
    expires = _expires_ms(document)
    if expires is None:
        return Row(role, subject, "fail", "it is no metadata of a repository", remedy)
    days = (expires - now_ms) / DAY_MS
    shown = f"version {_version(document)}, valid until {document['signed']['expires']} ({days:.0f} days)"
    details = {"version": _version(document), "days_left": round(days, 1)}
    if days <= 0:
        return Row(role, subject, "fail", f"{shown}: expired, nothing new is taken", remedy, details)
    if days < SOON_DAYS[role]:
        return Row(role, subject, "warn", shown, remedy, details)
    return Row(role, subject, "ok", shown, "", details)


def _expires_ms(document: dict[str, Any]) -> int | None:
    try:
        # As the specification writes it: 2026-11-21T00:00:00Z.
        ends = datetime.strptime(document["signed"]["expires"], "%Y-%m-%dT%H:%M:%SZ")  # noqa: DTZ007 - UTC by the format
        return int(ends.replace(tzinfo=timezone.utc).timestamp() * 1000)
    except (KeyError, TypeError, ValueError):
        return None


def _version(document: dict[str, Any]) -> int:
    signed = document.get("signed")
    found = signed.get("version") if isinstance(signed, dict) else None
    return found if isinstance(found, int) else 0


def _read(file: Path) -> dict[str, Any] | str:
    """Give a document, or why there is none."""
    try:
        found = json.loads(file.read_bytes())
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    except (ValueError, RecursionError):
        return "is no JSON"
    return found if isinstance(found, dict) else "is no document"
