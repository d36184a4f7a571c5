"""``bundle pack``: a bundle as one file, ``NAME-VERSION.edgemodel``, and back."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from edged.domain.bundle import Bundle
from edged.domain.errors import BundleError, ConfigError
from edged.update.archive import SUFFIX, pack_into, packed_name, unpack
from edged.update.manifest import MANIFEST, files_of, read_bundle, verify

README = "README.md"
BESIDE = frozenset({README, "demo"})
"""What may lie in a bundle's folder without belonging to what runs; so may what the README links to, and Python sources, the recipe."""


def pack(bundle: Bundle, folder: Path) -> Path:
    """Write the bundle to ``folder`` as one file.

    Raises:
        BundleError: A file is missing, altered, a link, or lies there without being named by the manifest.
        ConfigError: The packed file is there already with other content.
    """
    faults = [*verify(bundle), *strays(bundle)]
    if faults:
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        message = f"cannot pack {bundle.folder}: {faults[0]}{more}"
        raise BundleError(message, remedy="edgectl bundle verify tells every fault")
    target = folder / packed_name(bundle.manifest)
    content = packed(bundle)
    if target.exists() and target.read_bytes() != content:
        message = f"cannot write {target}: it is there already with other content, expected a new file"
        raise ConfigError(message, remedy="raise the version in model.toml, or remove the old file")
    folder.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}.new")
    beside.write_bytes(content)
    beside.replace(target)
    return target


def packed(bundle: Bundle) -> bytes:
    """Give the bundle as one file's content."""
    stream = io.BytesIO()
    pack_into(bundle, stream)
    return stream.getvalue()


def strays(bundle: Bundle) -> list[str]:
    """List what lies in the folder and must not: links, and files that neither the manifest nor the README names."""
    named = files_of(bundle).keys()
    readme = bundle.folder / README
    told = readme.read_text(encoding="utf-8", errors="replace") if readme.is_file() else ""
    faults = []
    for file in sorted(bundle.folder.rglob("*")):
        name = file.relative_to(bundle.folder)
        if file.is_symlink():
            faults.append(f"cannot keep {name.as_posix()!r}: it is a link, expected a file of the bundle's own")
        elif file.is_file() and name.as_posix() not in named and not _lies_beside(name, told):
            faults.append(f"cannot keep {name.as_posix()!r}: model.toml does not name it, expected it named or gone")
    return faults


def _lies_beside(name: Path, told: str) -> bool:
    recipe = "__pycache__" in name.parts or (len(name.parts) == 1 and name.suffix == ".py")
    return recipe or name.parts[0] in BESIDE or f"({name.as_posix()})" in told


@contextmanager
def unpacked(place: Path) -> Iterator[Bundle]:
    """Give the bundle in a folder, or in a packed file as long as the context lasts.

    Raises:
        ConfigError: There is neither.
        BundleError: It is no bundle, or a packed file that is unsafe to unpack.
    """
    if place.is_dir():
        yield read_bundle(place)
    elif place.is_file():
        with TemporaryDirectory(prefix="edgemodel-") as folder:
            unpack(place, Path(folder))
            yield read_bundle(Path(folder))
    else:
        message = f"cannot find bundle {place}: there is none, expected a folder with {MANIFEST} or a file {SUFFIX}"
        raise ConfigError(message)
