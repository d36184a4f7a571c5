"""What a candidate in shadow costs the live model: a real daemon on a camera's pace, and a copy of its own model beside it."""

from __future__ import annotations

import re
import shutil
import tempfile
from io import BytesIO
from pathlib import Path

from downloading import FPS, MOST, SETTLE_S, Order, running
from figure import Effort, Figure, median, quantile

from edged.domain.bundle import Bundle
from edged.update.archive import pack_into
from edged.update.manifest import read_bundle

ROUNDS, LOOK_S = 6, 10.0
ONE_IN, FRAMES = 5, 100_000
"""More frames than there will be: it stays in shadow until the next one takes its place."""


def measure(effort: Effort) -> list[Figure]:
    """Give the one row."""
    before: list[list[float]] = []
    during: list[list[float]] = []
    with tempfile.TemporaryDirectory() as name, running(Path(name)) as (heard, shop, bundle):
        for number in range(effort.times(ROUNDS)):
            version = f"9.0.{number}"
            content = _copy(bundle, Path(name) / version, version)
            order = Order(bundle.manifest.name, version, content, {"shadow_one_in": ONE_IN, "shadow_frames": FRAMES})
            if number:
                heard.publish(shop.withdraw(order.model))
                heard.until("cancelled")
            before.append(heard.looked_at(SETTLE_S, LOOK_S))
            heard.publish(shop.publish(order))
            heard.until("shadowing")
            during.append(heard.looked_at(SETTLE_S, LOOK_S))
    return [_figure(before, during)]


def _figure(before: list[list[float]], during: list[list[float]]) -> Figure:
    whole = [quantile([one for part in parts for one in part], 0.99) for parts in (before, during)]
    ratio = whole[1] / whole[0]
    half = [median([one for part in parts for one in part]) for parts in (before, during)]
    return Figure(
        f"inference p99 while a candidate runs in shadow on one frame in {ONE_IN} ÷ before",
        f"≤ {MOST:.2f}",
        f"{ratio:.2f}",
        ratio <= MOST,
        f"{whole[0]:.2f} and {whole[1]:.2f} ms, p50 {half[0]:.2f} and {half[1]:.2f} ms, {len(before)} times, {FPS} frames a second",
    )


def _copy(bundle: Bundle, folder: Path, version: str) -> bytes:
    """Pack the model that runs under another version."""
    shutil.copytree(bundle.folder, folder)
    manifest = folder / "model.toml"
    text = manifest.read_text(encoding="utf-8")
    manifest.write_text(re.sub(r'(?m)^version = ".*"$', f'version = "{version}"', text, count=1), encoding="utf-8")
    packed = BytesIO()
    pack_into(read_bundle(folder), packed)
    return packed.getvalue()
