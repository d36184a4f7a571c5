"""``bundle new``: writes a thought-out bundle, once every file of it has opened as on a box."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from edgectl.bundle import toml
from edgectl.bundle.draft import LABELS, Draft
from edgectl.bundle.golden import FOLDER, write_golden
from edgectl.bundle.judge import opened
from edgectl.bundle.samples import read_samples
from edged.assembly.models import read_labels
from edged.domain.errors import BundleError, ConfigError, EdgedError
from edged.update.manifest import MANIFEST, RefusedBundleError, read_bundle, verify


def write(plan: Draft, out: Path, golden: Path | None = None) -> Path:
    """Write the bundle to ``out`` and open each of its files as a box would, before it appears there.

    ``golden`` is a folder of pictures or recordings, of which a few become golden samples.

    Raises:
        ConfigError: ``out`` exists already.
        BundleError: A file and the manifest do not fit together.
    """
    if out.exists():
        message = f"cannot write to {out}: it is there already, expected a new folder"
        raise ConfigError(message, remedy="name another with --out, or remove it")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".bundle-") as place:
        folder = Path(place, plan.name)
        folder.mkdir()
        for file, _ in plan.variants:
            shutil.copyfile(file, folder / file.name)
        if plan.labels:
            (folder / LABELS).write_text("\n".join(plan.labels) + "\n", encoding="utf-8")
        (folder / MANIFEST).write_text(text_of(plan), encoding="utf-8")
        _try(folder)
        if golden is not None:
            _add_golden(folder, golden)
        folder.replace(out)
    return out


def text_of(plan: Draft) -> str:
    """Write ``model.toml``."""
    parts = [toml.lines(plan.tables[""])]
    parts += [toml.section(f"[{name}]", table) for name, table in plan.tables.items() if name]
    parts += [toml.section("[[variant]]", table) for _, table in plan.variants]
    return "\n\n".join(parts) + "\n"


def _add_golden(folder: Path, golden: Path) -> None:
    bundle = read_bundle(folder)
    first = bundle.manifest.variant[0]
    write_golden(bundle, read_samples(golden, bundle.input_of(first), read_labels(bundle, first)))
    text = (folder / MANIFEST).read_text(encoding="utf-8")
    section = toml.section("[golden]", {"samples": f"{FOLDER}/"})
    (folder / MANIFEST).write_text(text.replace("[[variant]]", f"{section}\n\n[[variant]]", 1), encoding="utf-8")
    _try(folder)


def _try(folder: Path) -> None:
    try:
        bundle = read_bundle(folder)
    except RefusedBundleError as error:
        # The folder has a name for a moment only, which would tell nobody anything.
        message = f"cannot make a bundle: {'; '.join(error.faults)}"
        raise ConfigError(message) from error
    faults = verify(bundle)
    for variant in bundle.manifest.variant:
        try:
            opened(bundle, variant).engine.close()
        except EdgedError as error:
            faults.append(f"{variant.id}: {error}")
    if faults:
        message = f"cannot make a bundle: {'; '.join(faults)}"
        raise BundleError(message, remedy="correct what was given by flags, or give it")
