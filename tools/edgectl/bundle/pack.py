"""``bundle pack``: a bundle as one file, ``NAME-VERSION.edgemodel``, and back.

The file is a plain tar: the manifest first, then every file that it names, by name; no times, owners or modes but fixed ones, so that
the same bundle gives the same bytes anywhere.
"""

from __future__ import annotations

import io
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from edged.domain.bundle import Bundle
from edged.domain.errors import BundleError, ConfigError
from edged.update.manifest import MANIFEST, files_of, read_bundle, verify

SUFFIX = ".edgemodel"
MODE = 0o644
MAX_FILES = 4096
MAX_BYTES = 4 * 1024**3
"""Of all files together; twice what one may have."""
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
    target = folder / f"{bundle.manifest.name}-{bundle.manifest.version}{SUFFIX}"
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
    files = files_of(bundle)
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted(files, key=lambda one: (one != MANIFEST, one)):
            content = files[name].read_bytes()
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), MODE
            try:
                archive.addfile(entry, io.BytesIO(content))
            except ValueError as error:
                message = f"cannot pack {name!r}: {error}, expected a path of at most 255 characters"
                raise BundleError(message) from error
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


def unpack(file: Path, folder: Path) -> None:
    """Write a packed file's content below ``folder``, which is empty.

    Every entry is checked before anything is written, and only what is checked is: no links, devices, absolute or climbing names, none
    twice, and no more than the bounds.

    Raises:
        BundleError: An entry is none of a packed bundle's, or the file is cut off.
    """
    try:
        with tarfile.open(file, mode="r:") as archive:
            entries = list(_entries(archive, file.name))
            for entry, path in entries:
                target = folder.joinpath(*path.parts)
                target.parent.mkdir(parents=True, exist_ok=True)
                content = archive.extractfile(entry)
                with target.open("wb") as stream:
                    shutil.copyfileobj(content or io.BytesIO(), stream)
    except (tarfile.TarError, EOFError, OSError, UnicodeError) as error:
        message = (
            f"cannot read {file.name}: {' '.join(str(error).split())[:120]}, expected a file that bundle pack wrote"
        )
        raise BundleError(message, remedy="pack the bundle again") from error


def _entries(archive: tarfile.TarFile, name: str) -> Iterator[tuple[tarfile.TarInfo, PurePosixPath]]:
    seen: set[PurePosixPath] = set()
    total = 0
    for entry in archive:
        path = PurePosixPath(entry.name)
        total += entry.size
        why = _objection(entry, path, seen, total)
        if why:
            message = f"cannot unpack {name}: {entry.name!r} {why}"
            raise BundleError(message, remedy="do not use this file; pack the bundle again")
        seen.add(path)
        yield entry, path
    if PurePosixPath(MANIFEST) not in seen:
        message = f"cannot unpack {name}: it holds no {MANIFEST}, expected a packed bundle"
        raise BundleError(message)


def _objection(entry: tarfile.TarInfo, path: PurePosixPath, seen: set[PurePosixPath], total: int) -> str:
    # Sparse files count as regular for tarfile, and would fill the disk out of nothing.
    if entry.type not in {tarfile.REGTYPE, tarfile.AREGTYPE}:
        return "is no regular file, expected files only"
    if path.is_absolute() or ".." in path.parts or "\\" in entry.name or not path.parts:
        return "leads out of the bundle, expected a path inside it"
    if path in seen or any(parent in seen for parent in path.parents):
        return "stands twice, expected each file once"
    if total > MAX_BYTES or len(seen) >= MAX_FILES:
        return f"is one too many, expected at most {MAX_FILES} files of {MAX_BYTES} bytes in all"
    return ""
