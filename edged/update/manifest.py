"""Reads a bundle's ``model.toml``, and checks that the folder holds what it promises.

Bytes in, faults out: nothing is changed and nothing is run here.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from pydantic import ValidationError

from edged.config.faults import explain
from edged.config.placed import join
from edged.config.read import read_toml
from edged.domain.bundle import Bundle, Manifest, Variant
from edged.domain.errors import BundleError, ConfigError

MANIFEST = "model.toml"
MAX_FILE_BYTES = 2 * 1024**3
"""The most that a TFLite file can hold (flatbuffers count in 31 bits); a larger model is no edge model."""
MAX_LABELS_BYTES = 1024**2
FIGURES = "benchmarks.json"
"""What another box of the same profile measured of the variants, if somebody put it there."""
MAX_GOLDEN_FILES = 1000
"""Each is run through the model before it may go live; more would take longer than anyone waits."""
MAX_SAMPLE_BYTES = 64 * 1024**2
"""A sample is read whole: 16 million numbers of a window, or any picture that a model is shown."""
MAX_SAMPLES_BYTES = 512 * 1024**2
"""All of them together: they lie in the store beside the model."""
_BLOCK_BYTES = 1024**2


class RefusedBundleError(BundleError):
    """A bundle that must not be used, with every reason."""

    def __init__(self, folder: Path, faults: Sequence[str]) -> None:
        """Keep every fault; the line tells the first."""
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        super().__init__(f"cannot use bundle {folder}: {faults[0]}{more}")
        self.folder = folder
        self.faults = tuple(faults)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Bundles by name, best first, the bundles that could not be read, and the folders that could not."""

    bundles: dict[str, tuple[Bundle, ...]]
    refused: tuple[RefusedBundleError, ...]
    absent: tuple[Path, ...] = ()


def find_bundles(folders: Iterable[Path]) -> Catalogue:
    """Read every bundle that lies in one of ``folders``.

    The highest version comes first; of one version, that of the earlier folder. A folder that is absent holds none.
    """
    found: dict[str, list[Bundle]] = {}
    refused: list[RefusedBundleError] = []
    places = {folder: _bundle_folders(folder) for folder in folders}
    for place in (place for held in places.values() for place in held or ()):
        bundle = _read_or_refuse(place)
        if isinstance(bundle, Bundle):
            found.setdefault(bundle.manifest.name, []).append(bundle)
        else:
            refused.append(bundle)
    for bundles in found.values():
        # The sort is stable: what was found earlier stays before its equals.
        bundles.sort(key=lambda bundle: bundle.manifest.version_key(), reverse=True)
    absent = tuple(folder for folder, held in places.items() if held is None)
    return Catalogue({name: tuple(bundles) for name, bundles in sorted(found.items())}, tuple(refused), absent)


def _bundle_folders(folder: Path) -> list[Path] | None:
    """List the bundles in a folder; None when it is absent or cannot be read."""
    try:
        return sorted(place for place in folder.iterdir() if (place / MANIFEST).exists())
    except OSError:
        return None


def _read_or_refuse(folder: Path) -> Bundle | RefusedBundleError:
    try:
        return read_bundle(folder)
    except RefusedBundleError as error:
        return error


def read_bundle(folder: Path) -> Bundle:
    """Read ``model.toml``. Raises RefusedBundleError with every fault, each with its key path."""
    try:
        document = read_toml(folder / MANIFEST)
    except ConfigError as error:
        raise RefusedBundleError(folder, [f"{MANIFEST}: {error}"]) from error
    try:
        manifest = Manifest.model_validate(document)
    except ValidationError as error:
        faults = [f"{MANIFEST}: {_written(path)}{line}" for path, line in explain(error, [Manifest], document)]
        raise RefusedBundleError(folder, faults) from error
    return Bundle(manifest, folder)


def _written(path: Iterable[str | int]) -> str:
    key = ""
    for part in path:
        key = join(key, part)
    return f"{key}: " if key else ""


def verify(bundle: Bundle) -> list[str]:
    """Give everything that keeps the bundle's files from being used; empty when all is well.

    Digests come first: what follows is only worth reading in files that are the promised ones. Raises BundleError when
    a file vanishes meanwhile.
    """
    return [*_digest_faults(bundle), *_label_faults(bundle), *_sample_faults(bundle)]


def variant_faults(bundle: Bundle) -> dict[str, str]:
    """Give what keeps each variant's file from being used, by variant id; a sound file has no entry."""
    faults = {variant.id: _variant_fault(bundle, variant) for variant in bundle.manifest.variant}
    return {name: fault for name, fault in faults.items() if fault is not None}


def _variant_fault(bundle: Bundle, variant: Variant) -> str | None:
    fault = _file_fault(bundle, variant.file, MAX_FILE_BYTES)
    if fault is not None:
        return fault
    observed = sha256_of(bundle.path_of(variant))
    if observed == variant.sha256:
        return None
    size = bundle.path_of(variant).stat().st_size
    return (
        f"cannot use file {variant.file!r}: it was truncated or altered ({size} bytes with sha256 {observed}), "
        f"expected sha256 {variant.sha256}"
    )


def files_of(bundle: Bundle) -> dict[str, Path]:
    """Give every file that the manifest names, itself included, by its path inside the bundle.

    Only those, and the figures that travel with it: a recipe or a picture that lies beside them is no part of what runs.
    """
    named = [MANIFEST, *(variant.file for variant in bundle.manifest.variant), *_labels(bundle)]
    if bundle.manifest.drift:
        named.append(bundle.manifest.drift.reference)
    if (bundle.folder / FIGURES).is_file():
        named.append(FIGURES)
    files = {name: bundle.folder / name for name in named}
    for samples in _samples(bundle):
        for file in _files_below(bundle.folder / samples):
            files[file.relative_to(bundle.folder).as_posix()] = file
    return dict(sorted(files.items()))


def hold(bundle: Bundle, name: str) -> None:
    """Refuse a file that must not be read whole before anything of it is read: a pipe never ends, nor does a link to a device.

    Raises BundleError.
    """
    fault = _file_fault(bundle, name, MAX_FILE_BYTES)
    if fault is not None:
        raise BundleError(fault)


def _files_below(folder: Path) -> list[Path]:
    # What vanishes meanwhile is passed over: somebody may be copying or removing the folder. One more than may be there is enough to
    # tell: a link may lead to the whole disk.
    found = (Path(place, name) for place, _, names in os.walk(folder, onerror=_unlisted) for name in names)
    return sorted(islice(found, MAX_GOLDEN_FILES + 1))


def _unlisted(error: OSError) -> None:
    """Refuse what a disk does not list: a release without its samples would go live untried."""
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        message = f"cannot list {error.filename}: {error.strerror}, expected a folder of a bundle"
        raise BundleError(message) from error


def sha256_of(file: Path) -> str:
    """Give the file's SHA-256 in hexadecimal, read block by block. Raises BundleError when it cannot be read."""
    digest = hashlib.sha256()
    try:
        with file.open("rb") as stream:
            while block := stream.read(_BLOCK_BYTES):
                digest.update(block)
    except OSError as error:
        message = f"cannot read {file}: {error.strerror}, expected a file of a bundle"
        raise BundleError(message) from error
    return digest.hexdigest()


def _labels(bundle: Bundle) -> list[str]:
    outputs = [bundle.manifest.output, *(bundle.output_of(variant) for variant in bundle.manifest.variant)]
    return sorted({output.labels for output in outputs if output.labels})


def _samples(bundle: Bundle) -> list[str]:
    golden = [bundle.manifest.golden, *(bundle.golden_of(variant) for variant in bundle.manifest.variant)]
    return sorted({part.samples for part in golden if part})


def _digest_faults(bundle: Bundle) -> Iterator[str]:
    faults = variant_faults(bundle)
    for index, variant in enumerate(bundle.manifest.variant):
        if variant.id in faults:
            yield f"variant[{index}] {variant.id!r}: {faults[variant.id]}"


def _label_faults(bundle: Bundle) -> Iterator[str]:
    for name in _labels(bundle):
        fault = _file_fault(bundle, name, MAX_LABELS_BYTES)
        if fault is None:
            try:
                text = (bundle.folder / name).read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                fault = f"cannot use file {name!r}: {error}, expected UTF-8 text"
            else:
                fault = None if text.strip() else f"cannot use file {name!r}: it holds no label, expected one a line"
        if fault:
            yield f"labels: {fault}"


def _sample_faults(bundle: Bundle) -> Iterator[str]:
    for name in _samples(bundle):
        folder = bundle.folder / name
        files = _files_below(folder)
        if not 0 < len(files) <= MAX_GOLDEN_FILES:
            held = f"more than {MAX_GOLDEN_FILES}" if files else "0"
            yield f"golden: cannot use folder {name!r}: it holds {held} files, expected 1 to {MAX_GOLDEN_FILES}"
            continue
        faults = [_file_fault(bundle, file.relative_to(bundle.folder).as_posix(), MAX_SAMPLE_BYTES) for file in files]
        yield from (f"golden: {fault}" for fault in faults if fault)
        if not any(faults) and (size := sum(file.stat().st_size for file in files)) > MAX_SAMPLES_BYTES:
            yield f"golden: cannot use folder {name!r}: it holds {size} bytes, expected at most {MAX_SAMPLES_BYTES}"
    if bundle.manifest.drift:
        fault = _file_fault(bundle, bundle.manifest.drift.reference, MAX_FILE_BYTES)
        if fault:
            yield f"drift: {fault}"


def _file_fault(bundle: Bundle, name: str, max_bytes: int) -> str | None:
    file = bundle.folder / name
    try:
        real = file.resolve(strict=True)
        size = real.stat().st_size
        os.close(os.open(real, os.O_RDONLY | os.O_NONBLOCK))  # a pipe would block; whether it may be read is the point
    except (OSError, RuntimeError) as error:  # a loop of links is a RuntimeError before Python 3.13
        reason = error.strerror if isinstance(error, OSError) else "a loop of links"
        return f"cannot read file {name!r}: {reason}, expected a file of the bundle"
    if not real.is_relative_to(bundle.folder.resolve()):
        return f"cannot use file {name!r}: it leads out of the bundle to {real}, expected a file inside"
    if not real.is_file():
        return f"cannot use file {name!r}: it is no regular file, expected one"
    if not 0 < size <= max_bytes:
        return f"cannot use file {name!r}: it has {size} bytes, expected 1 to {max_bytes}"
    return None
