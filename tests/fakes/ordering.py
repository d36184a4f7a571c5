"""Orders without signatures, and a courier that believes them and takes files from a folder."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edged.domain.artefact import VerifiedArtefact
from edged.domain.errors import RetryableError
from edged.update.archive import pack_into
from edged.update.desired import Audience, Desired, ModelOrder, check, parse
from edged.update.manifest import read_bundle
from edged.update.ports import Progress

DEVICE = Audience("device", "press-07")
LINE = Audience("group", "line-a")
NOW_MS = 1_800_000_000_000


def envelope(seq: int, models: dict[str, Any], *, audience: Audience = DEVICE, **more: Any) -> bytes:
    """Write an order; ``models`` as ``published`` gives them."""
    document = {
        "schema": "edged.desired/1",
        "for": {audience.kind: audience.name},
        "seq": seq,
        "issued": "2027-01-01T00:00:00Z",
        "not_after": "2028-01-01T00:00:00Z",
        "campaign": "spring",
        "by": "someone",
        "models": models,
        **more,
    }
    return json.dumps({"payload": base64.b64encode(json.dumps(document).encode()).decode()}).encode()


def published(source: Path, repository: Path, **more: Any) -> dict[str, Any]:
    """Pack a bundle into a repository, and give what an order says of it."""
    bundle = read_bundle(source)
    manifest = bundle.manifest
    file = repository / f"{manifest.name}-{manifest.version}.edgemodel"
    repository.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as stream:
        pack_into(bundle, stream)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    given = {"version": manifest.version, "target": file.name, "length": file.stat().st_size, "sha256": digest}
    return {**given, "probation_s": 0, "min_inferences": 1, **more}


@dataclass
class FolderCourier:
    """Implements ``edged.update.ports.Courier``."""

    repository: Path
    incoming: Path
    own: tuple[Audience, ...] = (DEVICE, LINE)
    now_ms: int = NOW_MS
    fails: list[Exception] = field(default_factory=list)
    """Each is raised once, by whatever is called next."""
    judged: list[Audience] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)
    meanwhile: Callable[[], None] = lambda: None
    """Called in the middle of a download."""

    def judge(self, envelope: bytes, addressed: Audience, cancelled: Callable[[], bool] = lambda: False) -> Desired:
        if self.fails:
            raise self.fails.pop(0)
        if cancelled():
            raise RetryableError("cannot go on: edged ends", code="cancelled")
        self.judged.append(addressed)
        desired = parse(base64.b64decode(json.loads(envelope)["payload"]))
        check(desired, addressed, self.own, self.now_ms)
        return desired

    def fetch(self, order: ModelOrder, progress: Progress, cancelled: Callable[[], bool]) -> VerifiedArtefact:
        if self.fails:
            raise self.fails.pop(0)
        progress(order.length // 2, order.length)
        self.meanwhile()
        if cancelled():
            raise RetryableError("cannot go on: it was called back", code="cancelled")
        self.fetched.append(order.version)
        self.incoming.mkdir(parents=True, exist_ok=True)
        target = self.incoming / order.sha256
        shutil.copy2(self.repository / order.target, target)
        progress(order.length, order.length)
        return VerifiedArtefact(order.model, order.version, order.length, order.sha256, target)
