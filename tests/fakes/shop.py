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


class Shop:
    """``repository`` and ``trust`` are what a box's configuration names; the orders are for ``press-07``."""

    def __init__(self, folder: Path, port: int) -> None:
        self.repository, self.trust = folder / "repository", folder / "root.json"
        self._port, self._seq = port, 0
        self._now = datetime.now(timezone.utc)
        self._signers = Simulator(expires=self._now + timedelta(days=30))
        folder.mkdir(parents=True)
        self.trust.write_bytes(self._signers.provisioned)
        self._signers.write(self.repository)

    def order(self, folder: Path) -> None:
        """Publish the bundle in ``folder``, and order it."""
        bundle = read_bundle(folder)
        packed = BytesIO()
        pack_into(bundle, packed)
        name, manifest = packed_name(bundle.manifest), bundle.manifest
        self._signers.add(name, packed.getvalue(), name=manifest.name, version=manifest.version)
        self._signers.publish()
        self._signers.write(self.repository)
        wanted = ordered(name, packed.getvalue(), version=manifest.version, probation_s=1, min_inferences=5)
        self._seq += 1
        dates = {"issued": written(self._now), "not_after": written(self._now + timedelta(days=7))}
        document = desired(seq=self._seq, models={manifest.name: wanted}, **dates)
        topic = f"edged/v1/d/{document['for']['device']}/in/desired"
        mqtt.single(topic, self._signers.desire(document), 1, retain=True, hostname="127.0.0.1", port=self._port)


def named(folder: Path, **words: Any) -> Path:
    """Change words of a bundle's manifest, such as ``tflite="strange"``; gives the folder."""
    file = folder / "model.toml"
    text = file.read_text("utf-8")
    for old, new in words.items():
        text = text.replace(f'"{old}"', f'"{new}"')
    file.write_text(text, "utf-8")
    return folder
