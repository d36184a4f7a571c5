"""Where edged is installed, and the unit files that start it from there."""

from __future__ import annotations

import stat
import sys
from dataclasses import dataclass
from pathlib import Path

import edged
from edged.domain.errors import DeviceError

SHIPPED = "/opt/edged/bin/edged"
"""The program's path in the shipped units."""
HIDDEN = (Path("/home"), Path("/root"), Path("/run/user"))
"""What ProtectHome= hides."""
OWN = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108 - named, not used
"""What PrivateTmp= replaces by empty folders."""
PROTECT = "ProtectHome=yes\n"
WHY_BELOW_HOME = "# Not below /home or /root, which this unit does not see (ProtectHome).\n"


@dataclass(frozen=True, slots=True)
class Program:
    """The file that the unit starts, and the hidden folders without which it would not run."""

    file: Path
    needs: tuple[Path, ...] = ()


def find(prefix: Path | None = None, base: Path | None = None, package: Path | None = None) -> Program:
    """Give the edged of this environment: a pipx venv, one in /opt, or the system's own.

    ``prefix`` is the environment, ``base`` the Python it was made from, ``package`` the folder of edged's modules.
    Raises DeviceError when there is no program, or when the user ``edged`` could not run it.
    """
    prefix, base = prefix or Path(sys.prefix), (base or Path(sys.base_prefix)).resolve()
    package = (package or Path(edged.__file__).parent).resolve()
    file = prefix / "bin" / "edged"
    if not file.is_file():
        message = f"cannot find the program edged: no file {file}, expected one beside this edgectl"
        raise DeviceError(message, remedy="install edged with pipx, or with pip into a venv in /opt/edged")
    inside = package.is_relative_to(prefix.resolve())
    needed = [prefix, base, *([] if inside else [package.parent])]
    for folder in needed:
        _refuse_private(folder)
    return Program(file, tuple(one for one in needed if _is_below(one, HIDDEN)))


def unit_text(text: str, program: Program) -> str:
    """Give a shipped unit with this program in it; of what is hidden below a home it sees the program's folders, and nothing else."""
    text = text.replace(SHIPPED, _quoted(program.file))
    if not program.needs:
        return text
    seen = " ".join(_quoted(folder) for folder in dict.fromkeys(program.needs))
    text = text.replace(WHY_BELOW_HOME, "")
    return text.replace(
        PROTECT, f"# Of the homes the unit sees the program alone.\nProtectHome=tmpfs\nBindReadOnlyPaths={seen}\n"
    )


def _refuse_private(folder: Path) -> None:
    """The unit runs as a user of its own: the folder has to be open to others, and not a temporary one."""
    if _is_below(folder, OWN):
        message = (
            f"cannot run edged as a service from {folder}: the unit has a /tmp of its own, expected a lasting place"
        )
        raise DeviceError(message, remedy="install edged with pipx, or with pip into a venv in /opt/edged")
    # What is hidden of a home is replaced by empty folders on the way; anything else has to be passed through.
    passed = [] if _is_below(folder, HIDDEN) else [*folder.parents]
    for place, wanted in ((folder, stat.S_IROTH | stat.S_IXOTH), *((one, stat.S_IXOTH) for one in passed)):
        if place.stat().st_mode & wanted != wanted:
            message = f"cannot run edged as the user edged: {place} is closed to others, expected it to be open"
            raise DeviceError(message, remedy=f"sudo chmod o+{'rx' if place == folder else 'x'} {place}")


def _is_below(place: Path, folders: tuple[Path, ...]) -> bool:
    return any(place.is_relative_to(folder) for folder in folders)


def _quoted(path: Path) -> str:
    """Write a path for a unit file: % begins a specifier, and blanks part words."""
    text = str(path).replace("%", "%%")
    if not set(text) & set(" '\"\\"):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
