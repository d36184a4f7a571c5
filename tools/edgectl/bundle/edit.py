"""Adds variants to a bundle on disk: files first, ``model.toml`` last and at once, so that it never names what is not there."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

from edgectl.bundle import toml
from edged.domain.bundle import Bundle, Variant
from edged.domain.errors import BundleError, ConfigError
from edged.update.manifest import MANIFEST, RefusedBundleError, files_of, read_bundle

OWN = ("input", "output", "golden", "state")
"""What a variant may carry over the bundle's; a made one carries what its source carries."""


@dataclass(frozen=True, slots=True)
class Addition:
    """A file and what the manifest says of it beside its digest. ``note`` becomes a comment above it."""

    source: Variant
    id: str
    file: str
    content: bytes
    precision: str
    accelerators: tuple[str, ...] = ("cpu",)
    accuracy: Mapping[str, Any] | None = None
    note: str = ""


def copy_bundle(bundle: Bundle, out: Path) -> Bundle:
    """Copy what the manifest names to a new folder.

    Raises:
        ConfigError: The folder exists and is not empty.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        message = f"cannot write to {out}: it is there already, expected a new or empty folder"
        raise ConfigError(message, remedy="name another folder")
    for name, file in files_of(bundle).items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, out / name)
    return read_bundle(out)


def add(bundle: Bundle, additions: Sequence[Addition]) -> Bundle:
    """Write the files and name them in ``model.toml``; what stands there stays as it is, comments and order included.

    Raises:
        BundleError: The manifest would not be one any more, or a file of the same name is there. Nothing is changed then.
    """
    manifest = bundle.folder / MANIFEST
    text = manifest.read_text(encoding="utf-8").rstrip()
    whole = ("\n\n".join([text, *map(section, additions)]) + "\n").encode()
    _check(bundle, whole, additions)
    for one in additions:
        _write(bundle.folder / one.file, one.content)
    _write(manifest, whole)
    return read_bundle(bundle.folder)


def section(one: Addition) -> str:
    """Write the manifest's words about a variant."""
    table: dict[str, Any] = {
        "id": one.id,
        "file": one.file,
        "sha256": hashlib.sha256(one.content).hexdigest(),
        "runtime": one.source.runtime,
        "accelerators": list(one.accelerators),
        "precision": one.precision,
        "layout": one.source.layout,
    }
    if one.accuracy:
        table["accuracy"] = one.accuracy
    for name in OWN:
        part = getattr(one.source, name)
        if part:
            parts = part if isinstance(part, tuple) else (part,)
            written = [item.model_dump(mode="json", exclude_unset=True, exclude_none=True) for item in parts]
            table[name] = written if isinstance(part, tuple) else written[0]
    comment = f"# {one.note}\n" if one.note else ""
    return comment + toml.section("[[variant]]", table)


def free_name(bundle: Bundle, file: str, taken: Collection[str] = ()) -> str:
    """Give ``file``, or with a number behind its name, so that it meets nothing in the bundle's folder and nothing that is ``taken``."""
    place = PurePosixPath(file)
    names = chain([place], (place.with_name(f"{place.stem}-{number}{place.suffix}") for number in count(2)))
    return next(str(name) for name in names if str(name) not in taken and not (bundle.folder / name).exists())


def _check(bundle: Bundle, manifest: bytes, additions: Sequence[Addition]) -> None:
    there = [one.file for one in additions if (bundle.folder / one.file).exists()]
    if there:
        message = f"cannot add {there[0]} to {bundle.folder}: it is there already, expected a new file"
        raise BundleError(message)
    with TemporaryDirectory() as folder:
        Path(folder, MANIFEST).write_bytes(manifest)
        try:
            read_bundle(Path(folder))
        except RefusedBundleError as error:
            why = f"the manifest would be refused: {error.faults[0]}"
            message = f"cannot add to {bundle.folder}: {why}, expected it sound; nothing was changed"
            raise BundleError(message) from error


def _write(file: Path, content: bytes) -> None:
    beside = file.with_name(f".{file.name}.new")
    beside.write_bytes(content)
    beside.replace(file)
