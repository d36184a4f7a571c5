"""Bundles of tests/bundles with the asset files that they refer to, put together in a folder of the test's own."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from edged.domain.bundle import Bundle, Manifest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

BUNDLES = Path(__file__).resolve().parents[1] / "bundles"


def materialise(name: str, assets: Path, folder: Path) -> Path:
    """Put the bundle ``name`` below ``folder``, with its models and labels from the assets; gives the bundle's folder."""
    target = folder / name
    shutil.copytree(BUNDLES / name, target)
    manifest = load(target).manifest
    outputs = [manifest.output, *(variant.output for variant in manifest.variant if variant.output)]
    wanted = {variant.file for variant in manifest.variant} | {output.labels for output in outputs if output.labels}
    for file in sorted(wanted):
        if not (target / file).exists():
            _fetch(file, assets / "models", target)
    return target


def load(folder: Path) -> Bundle:
    """Read a bundle without checking anything but its form."""
    return Bundle(Manifest.model_validate(tomllib.loads((folder / "model.toml").read_text())), folder)


def _fetch(file: str, models: Path, target: Path) -> None:
    if file == "imagenet_labels_1000.txt":
        # The same names without the first one, "background", which networks of PyTorch's zoo do not know.
        lines = (models / "imagenet_labels_1001.txt").read_text().splitlines(keepends=True)
        (target / file).write_text("".join(lines[1:]))
        return
    shutil.copyfile(models / file, target / file)
