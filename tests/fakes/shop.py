"""Whoever signs models for one box: a repository in a folder, and orders at a broker."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from io import BytesIO
from pathlib import Path
from typing import Any

import paho.mqtt.publish as mqtt

from edged.update.archive import pack_into, packed_name
from edged.update.manifest import read_bundle
from fakes.repository_simulator import Simulator, desired, ordered, written

TOPIC = "edged/v1/d/press-07/in/desired"


class Shop:
    """``repository`` and ``trust`` are what a box's configuration names; the orders are for ``press-07``."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port, self._seq = folder, port, 0
        self.repository, self.trust = folder / "repository", folder / "root.json"
        self._now = datetime.now(timezone.utc)
        self.signers = Simulator(expires=self._now + timedelta(days=30))
        folder.mkdir(parents=True)
        self.trust.write_bytes(self.signers.provisioned)
        self.signers.write(self.repository)

    def offer(self, folder: Path) -> dict[str, Any]:
        """Publish the bundle in ``folder``; gives an order's part for it."""
        bundle, packed = read_bundle(folder), BytesIO()
        pack_into(bundle, packed)
        name, manifest = packed_name(bundle.manifest), bundle.manifest
        self.signers.add(name, packed.getvalue(), name=manifest.name, version=manifest.version)
        self.publish()
        return ordered(name, packed.getvalue(), version=manifest.version, probation_s=1, min_inferences=5)

    def publish(self) -> None:
        """Sign what was added, and put it where boxes look."""
        self.signers.publish()
        self.signers.write(self.repository)

    def signed(self, models: dict[str, Any], **more: Any) -> bytes:
        """Sign the next order; ``models`` gives each model's part."""
        self._seq += 1
        dates = {"issued": written(self._now), "not_after": written(self._now + timedelta(days=7))}
        return self.signers.desire(desired(seq=self._seq, models=models, **dates, **more))

    def order(self, models: dict[str, Any], **more: Any) -> None:
        """Leave the next order at the broker."""
        mqtt.single(TOPIC, self.signed(models, **more), 1, retain=True, hostname="127.0.0.1", port=self.port)


def named(folder: Path, **words: Any) -> Path:
    """Change words of a bundle's manifest, such as ``tflite="strange"``; gives the folder."""
    file = folder / "model.toml"
    text = file.read_text("utf-8")
    for old, new in words.items():
        text = text.replace(f'"{old}"', f'"{new}"')
    file.write_text(text, "utf-8")
    return folder
