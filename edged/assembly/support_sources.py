"""What goes into a support archive, the most telling first: a row each, with the function that reads it.

Files of secrets are not among them. No picture, no recording, no result, nothing of trust but its names, and nothing that a key of the
configuration points to.
"""

from __future__ import annotations

import errno
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import distributions
from pathlib import Path
from typing import Any, Literal

from edged.assembly.coverage_store import FOLDER as COVERAGE
from edged.assembly.figures_store import FILE as BENCHMARKS
from edged.assembly.history_store import FOLDER as HISTORY
from edged.assembly.history_store import HistoryStore
from edged.assembly.state import KEPT_CONFIG
from edged.assembly.within import within
from edged.config.load import DROP_INS
from edged.config.ordered import in_force
from edged.domain.errors import DeviceError
from edged.telemetry.ring import framed, records
from edged.update.journal import EARLIER, JOURNAL

Kind = Literal["json", "text", "configuration", "raw"]
"""How secrets are taken out: of a document, of lines, of TOML, or not at all, since nothing in it comes from people."""
DOCTOR = "doctor.json"
"""As ``edgectl doctor`` records it, here and in the state directory."""
UNITS = ("edged.service", "edged-safe.service")
LOG_LINES, LOG_BYTES, LOG_S = 20_000, 3_000_000, 15.0
LISTED, COVERAGE_DAYS = 2000, 3
READ_S = 20.0
"""Of one file, and of a look for files: a disk that hangs costs what lies on it, and not the archive."""
MAX_BYTES = 8_000_000
"""Of one file; what is larger is none of ours."""


@dataclass(frozen=True, slots=True)
class Piece:
    """``name`` is its path in the archive, ``about`` says what it is. ``read`` raises OSError or DeviceError for what cannot be had."""

    name: str
    about: str
    kind: Kind
    read: Callable[[], Any]
    """Gives a document for ``json``, otherwise bytes."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where everything lies. ``told`` are documents that whoever asks has at hand, by name: (what it is, the document)."""

    state: Path
    file: Path
    told: Mapping[str, tuple[str, Any]] = field(default_factory=dict)
    log: Path | None = None
    """A log file, where edged's log does not go to the journal."""


def pieces(place: Place) -> Iterator[Piece]:
    """Give everything that there is, or that should be."""
    for name, (about, document) in place.told.items():
        yield Piece(name, about, "json", partial(_given, document))
    yield Piece("system.json", "kernel, Python, packages, disks, memory", "json", partial(system, place.state))
    yield from _looked_for("configuration/", "the configuration", _configurations, place)
    yield _log(place)
    yield from _looked_for("state/", "the state directory", _of_the_state, place)


def _looked_for(name: str, about: str, look: Callable[[Place], Iterator[Piece]], place: Place) -> Iterator[Piece]:
    """Give what ``look`` finds; on a disk that hangs, or may not be looked into, one piece that says so when it is read."""
    try:
        yield from within(READ_S, lambda: tuple(look(place)))
    except OSError as error:
        yield Piece(name, about, "text", partial(_raised, error))


def _of_the_state(place: Place) -> Iterator[Piece]:
    """Give what lies in the state directory."""
    state = place.state
    own = partial(_own, state)
    if DOCTOR not in place.told and (state / DOCTOR).exists():
        yield Piece(DOCTOR, "what edgectl doctor found when it was run last", "text", partial(own, state / DOCTOR))
    ordered = in_force(state)
    if ordered is not None:
        about = "what was ordered of it"
        yield Piece("configuration/ordered.toml.json", about, "configuration", partial(own, ordered))
    if (state / KEPT_CONFIG).exists():
        kept = partial(own, state / KEPT_CONFIG)
        yield Piece("configuration/kept.json", "the last one that ran", "configuration", kept)
    yield from _records(state, own)


def _records(state: Path, own: Callable[[Path], bytes]) -> Iterator[Piece]:
    yield Piece(
        "journal/journal.ndjson", "the journal of models and configurations", "text", partial(own, state / JOURNAL)
    )
    if (state / EARLIER).exists():
        yield Piece("journal/journal.1.ndjson", "the journal before it", "text", partial(own, state / EARLIER))
    yield Piece("benchmarks.json", "what was measured on this box", "text", partial(own, state / BENCHMARKS))
    for pointer in sorted(state.glob("slots/*/pointer.json")):
        yield Piece(f"slots/{pointer.parent.name}.json", "which version is live", "text", partial(own, pointer))
    yield Piece("files.txt", "names and sizes in the state directory", "text", partial(listing, state))
    for file in reversed(HistoryStore(state).files()):
        yield Piece(f"{HISTORY}/{file.name}", "the flight recorder", "raw", partial(_ring, state, file))
    for day in sorted(state.glob(f"{COVERAGE}/*"), reverse=True)[:COVERAGE_DAYS]:
        for minutes in sorted(day.glob("*.minutes")):
            yield Piece(f"{COVERAGE}/{day.name}/{minutes.name}", "what a pipeline saw", "raw", partial(own, minutes))


def system(state: Path) -> dict[str, Any]:
    """Say what edged runs on; what cannot be read is null."""
    disk = _or_none(lambda: shutil.disk_usage(state))
    return {
        "schema": "edged.system/1",
        "kernel": platform.release(),
        "machine": platform.machine(),
        "os": _or_none(lambda: _fields(Path("/etc/os-release"))),
        "python": platform.python_version(),
        "uptime_s": _or_none(lambda: float(Path("/proc/uptime").read_text("ascii").split()[0])),
        "load": _or_none(os.getloadavg),
        "memory": _or_none(lambda: _fields(Path("/proc/meminfo"), ":")),
        "state_disk": None if disk is None else {"total_bytes": disk.total, "free_bytes": disk.free},
        "packages": {
            str(one.metadata["Name"]): one.version for one in sorted(distributions(), key=lambda one: str(one.name))
        },
        "user": os.geteuid(),
    }


def listing(folder: Path) -> bytes:
    """Name what lies in a folder, with sizes; of very many files the first."""
    lines: list[str] = []
    for base, folders, files in os.walk(folder, onerror=_raised):
        folders.sort()
        for name in sorted(files):
            file = Path(base) / name
            size = _or_none(lambda file=file: file.lstat().st_size)  # type: ignore[misc] # bound now
            lines.append(f"{size if size is not None else '?':>12} {file.relative_to(folder)}")
            if len(lines) >= LISTED:
                return "\n".join([*lines, "…\n"]).encode("utf-8", "replace")
    return ("\n".join(lines) + "\n").encode("utf-8", "replace")


def _configurations(place: Place) -> Iterator[Piece]:
    drop_ins = sorted((place.file.parent / DROP_INS).glob("*.toml"))
    for file in (place.file, *drop_ins):
        name = file.name if file == place.file else f"{DROP_INS}/{file.name}"
        yield Piece(
            f"configuration/{name}.json", "the configuration, without comments", "configuration", partial(_read, file)
        )


def _log(place: Place) -> Piece:
    if place.log is not None:
        return Piece("log.txt", f"the end of {place.log}", "text", partial(_tail, place.log))
    return Piece("log.txt", "the journal's last lines of edged", "text", journal)


def journal() -> bytes:
    """Give what the system's journal has of edged. Raises DeviceError when there is none, or it may not be read."""
    program = shutil.which("journalctl")
    if program is None:
        message = "cannot read the log: there is no journalctl here"
        raise DeviceError(message, remedy="name edged's log file with --log")
    units = [word for unit in UNITS for word in ("-u", unit)]
    command = [program, *units, "-n", str(LOG_LINES), "-o", "short-iso-precise", "--no-pager", "-q"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=LOG_S, check=False, stdin=subprocess.DEVNULL)  # noqa: S603 - fixed words
    except subprocess.TimeoutExpired as error:
        message = f"cannot read the log: journalctl gave nothing within {LOG_S:.0f} s"
        raise DeviceError(message) from error
    if not done.stdout.strip():
        why = " ".join(done.stderr.decode("utf-8", "replace").split()) or "it has no entries of edged.service"
        message = f"cannot read the journal: {why}"
        raise DeviceError(message, remedy="sudo edgectl support, or name edged's log file with --log")
    return done.stdout[-LOG_BYTES:]


def _given(document: Any) -> Any:
    return document


def _own(state: Path, file: Path) -> bytes:
    """Read what edged keeps below its state directory: root may be asking, and whoever may write there could have linked anything."""
    if file.resolve() != state.resolve() / file.relative_to(state):
        message = "it is a link, and not what edged wrote"
        raise OSError(errno.ELOOP, message)
    return _read(file, os.O_NOFOLLOW)


def _ring(state: Path, file: Path) -> bytes:
    """Read the whole records of a file of the flight recorder, and nothing else that may stand in it."""
    return b"".join(framed(kind, content) for kind, content in records(_own(state, file)))


def _read(file: Path, flags: int = 0) -> bytes:
    if file.exists() and not file.is_file():
        message = "it is no regular file"
        raise OSError(errno.EINVAL, message)
    with os.fdopen(os.open(file, os.O_RDONLY | os.O_CLOEXEC | flags), "rb") as stream:
        return stream.read(MAX_BYTES)


def _tail(file: Path) -> bytes:
    with file.open("rb") as stream:
        stream.seek(max(0, file.stat().st_size - LOG_BYTES))
        return stream.read(LOG_BYTES)


def _fields(file: Path, mark: str = "=") -> dict[str, str]:
    rows = (line.partition(mark) for line in file.read_text("utf-8", "replace").splitlines())
    return {name.strip(): value.strip().strip('"') for name, found, value in rows if found}


def _or_none(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except (OSError, ValueError):
        return None


def _raised(error: OSError) -> None:
    raise error
