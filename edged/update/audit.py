"""What the journal says ran at a moment: which release of each model, down to the digests that results carry, and by whose order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edged.update.journal import Entry


@dataclass(frozen=True, slots=True)
class Served:
    """A release that was live, by the ``order`` that brought it (None: a folder's); ``event`` and ``reason`` say why it went live then."""

    model: str
    version: str
    digest: str
    target: str
    variants: Mapping[str, str]
    since_ms: int
    is_dated: bool
    event: str
    reason: str
    order: Mapping[str, Any] | None

    def told(self) -> dict[str, Any]:
        """Give it as JSON has it."""
        variants = {name: f"sha256:{digest}" for name, digest in self.variants.items()}
        return {
            "model": self.model,
            "version": self.version,
            "release": f"sha256:{self.digest}",
            "file": f"sha256:{self.target}" if self.target else None,
            "variants": variants,
            "since_ms": self.since_ms,
            "clock": "synced" if self.is_dated else "unsynced",
            "event": self.event,
            "reason": self.reason,
            "order": dict(self.order) if self.order else None,
        }


def happened(entries: Iterable[Entry], seqs: Mapping[str, int]) -> list[Entry]:
    """Give the lines whose change was made.

    A line is written before its change: one that a power cut came after is followed by another of the same number, or by nothing.
    ``seqs`` are the numbers of the slots as they stand.
    """
    kept: list[Entry] = []
    last: dict[str, int] = {}
    for entry in entries:
        model, seq = str(entry.fields.get("model")), entry.fields.get("seq")
        before = last.get(model)
        if before is not None and kept[before].fields.get("seq") == seq:
            kept[before] = entry
        else:
            last[model] = len(kept)
            kept.append(entry)
    undone = {index for model, index in last.items() if kept[index].fields.get("seq", 0) > seqs.get(model, 0)}
    return [entry for index, entry in enumerate(kept) if index not in undone]


def live_at(entries: Sequence[Entry], at_ms: int) -> list[Served]:
    """Give what was live at a moment, by model. ``entries`` are lines whose change was made, the oldest first."""
    live: dict[str, Served] = {}
    brought: dict[str, Mapping[str, Any] | None] = {}
    for entry in entries:
        fields = entry.fields
        if "live" not in fields or fields["at_ms"] > at_ms:
            continue
        model, release = str(fields["model"]), fields["live"]
        if release is None:
            live.pop(model, None)
            continue
        order = brought.setdefault(release["digest"], fields.get("order") if release.get("target") else None)
        live[model] = Served(
            model=model.removeprefix("."),
            version=release["version"],
            digest=release["digest"],
            target=release.get("target", ""),
            variants=release.get("variants", {}),
            since_ms=fields["at_ms"],
            is_dated=bool(fields.get("synced")),
            event=fields["event"],
            reason=fields.get("reason", ""),
            order=order,
        )
    return [live[model] for model in sorted(live)]
