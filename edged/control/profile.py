"""Device profiles: what a kind of board prefers and bears, and which one fits a box.

Key by key: docs/reference/profiles.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edged.config.faults import explain, nearest
from edged.config.read import read_toml
from edged.domain.bundle import Precision, Runtime
from edged.domain.device import AcceleratorKind, Inventory
from edged.domain.errors import ConfigError

AUTO = "auto"
AcceleratorName = Literal[
    "cpu", "edgetpu", "cuda", "tensorrt", "openvino", "openvino-npu", "openvino-cpu", "hailo", "rknpu"
]
"""What a bundle's variant says that it runs on."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Match(_Part):
    """When a profile fits: every key that is given must hold, and within a key one entry is enough.

    ``compatible``, ``soc`` and ``board`` are shell patterns (``*``, ``?``, ``[…]``); ``soc`` and ``board`` ignore case.
    """

    compatible: tuple[str, ...] = ()
    soc: tuple[str, ...] = ()
    board: tuple[str, ...] = ()
    accelerators: tuple[AcceleratorKind, ...] = ()
    """Kinds of which one must be usable now."""
    int8: tuple[str, ...] = ()
    arch: tuple[str, ...] = ()


class Preference(_Part):
    """One wish of ``prefer``: what is left out fits anything."""

    accelerator: AcceleratorName
    runtime: Runtime | None = None
    precision: Precision | None = None
    threads: int | None = Field(default=None, ge=1, le=256)


class Temperatures(_Part):
    """Degrees Celsius: from ``soft`` on the governor does less, from ``hard`` on it does the least."""

    soft: float = Field(gt=0, le=125)
    hard: float = Field(gt=0, le=125)

    @model_validator(mode="after")
    def _soft_comes_first(self) -> Temperatures:
        if self.soft >= self.hard:
            message = f"cannot use soft {self.soft:g} with hard {self.hard:g}, expected soft below hard"
            raise ValueError(message)
        return self


class Bounds(_Part):
    """What edged may use of the box; None is no bound."""

    memory_mb: int | None = Field(default=None, ge=64, le=1_048_576)
    temperature_c: Temperatures | None = None


class Profile(_Part):
    """One file of ``device-profiles/``."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")
    match: Match = Match()
    prefer: tuple[Preference, ...] = Field(min_length=1)
    limits: Bounds = Bounds()
    isolate: bool = False
    """Whether engines on the CPU, too, run in child processes: what accelerators' engines always do."""

    @property
    def is_broad(self) -> bool:
        """Whether it fits boxes of all kinds: figures that one of them brought say little of another."""
        return not (self.match.compatible or self.match.board or self.match.soc)


Fit = tuple[int, int, int, int, int, int]
"""How closely a profile fits, compared from left to right; 0 is a key that is not given.

The order: compatible, board, accelerators, soc, int8, arch.
"""


def load_profiles(folders: Iterable[Path]) -> tuple[Profile, ...]:
    """Read every ``*.toml`` of the folders, in name order; of two with one name the earlier folder's stands.

    A folder that does not exist counts as empty. Raises ConfigError with every fault, each with file and key path.
    """
    found: dict[str, Profile] = {}
    faults: list[str] = []
    for folder in folders:
        for file in _files(folder, faults):
            profile = _read(file, faults)
            if profile is not None:
                found.setdefault(profile.name, profile)
    if faults:
        message = f"cannot use the device profiles: {'; '.join(faults)}"
        raise ConfigError(message)
    return tuple(found.values())


def match_profile(profiles: Sequence[Profile], inventory: Inventory, wanted: str = AUTO) -> Profile:
    """Give the profile that fits the box most closely, or the one that the configuration names.

    Raises ConfigError when ``wanted`` is no profile's name, or when none fits (the shipped ``generic`` fits every box).
    """
    if wanted != AUTO:
        return _named(profiles, wanted)
    fits = [(fit, -order, profile) for order, profile in enumerate(profiles) if (fit := closeness(profile, inventory))]
    if not fits:
        box = inventory.board or "this box"
        message = f"cannot find a device profile for {box}: none of {len(profiles)} fits, expected one"
        raise ConfigError(message, remedy="install edged again, or write one (docs/reference/profiles.md)")
    return max(fits, key=lambda candidate: candidate[:2])[2]


def closeness(profile: Profile, inventory: Inventory) -> Fit | None:
    """Tell how closely a profile fits a box; None when it does not."""
    match = profile.match
    usable = {found.kind for found in inventory.accelerators if found.usable}
    fit = (
        _compatible(match.compatible, inventory.compatible),
        _words(match.board, inventory.board),
        _any(match.accelerators, usable),
        _words(match.soc, inventory.soc),
        _strongest(match.int8, inventory.cpu.int8),
        _any(match.arch, () if inventory.arch is None else (inventory.arch,)),
    )
    return None if any(part is None for part in fit) else tuple(part or 0 for part in fit)  # type: ignore[return-value] # six


def _compatible(patterns: Sequence[str], entries: Sequence[str]) -> int | None:
    """Rate a device tree's list, which goes from the board to the chip: an early entry is a close fit."""
    if not patterns:
        return 0
    for place, entry in enumerate(entries):
        if any(fnmatchcase(entry, pattern) for pattern in patterns):
            return len(entries) - place
    return None


def _words(patterns: Sequence[str], text: str | None) -> int | None:
    if not patterns:
        return 0
    fits = text is not None and any(fnmatchcase(text.lower(), pattern.lower()) for pattern in patterns)
    return 1 if fits else None


def _any(wanted: Sequence[str], found: Iterable[str]) -> int | None:
    if not wanted:
        return 0
    return None if set(wanted).isdisjoint(found) else 1


def _strongest(wanted: Sequence[str], found: Sequence[str]) -> int | None:
    """Rate instruction sets, which the inventory lists from weak to strong: the strongest that is wanted counts."""
    if not wanted:
        return 0
    return max((place for place, name in enumerate(found, 1) if name in wanted), default=None)


def _named(profiles: Sequence[Profile], wanted: str) -> Profile:
    for profile in profiles:
        if profile.name == wanted:
            return profile
    hint = nearest(wanted, [AUTO, *(profile.name for profile in profiles)])
    message = f"cannot find device profile {wanted!r}: {hint}"
    raise ConfigError(message)


def _files(folder: Path, faults: list[str]) -> list[Path]:
    try:
        return sorted(file for file in folder.iterdir() if file.suffix == ".toml" and not file.name.startswith("."))
    except FileNotFoundError:
        return []
    except OSError as error:
        faults.append(f"{folder}: cannot read the folder: {error.strerror}, expected a folder of TOML files")
        return []


def _read(file: Path, faults: list[str]) -> Profile | None:
    try:
        document = read_toml(file)
    except ConfigError as error:
        faults.append(f"{file}: {error}")
        return None
    try:
        profile = Profile.model_validate(document)
    except ValidationError as error:
        faults.extend(f"{file}: {_key(path)}: {line}" for path, line in explain(error, [Profile], document))
        return None
    if profile.name != file.stem:
        faults.append(f"{file}: name: cannot use {profile.name!r}: expected the file's own name, {file.stem!r}")
        return None
    return profile


def _key(path: Sequence[str | int]) -> str:
    """Write a key path as people do: ``prefer[0].accelerator``."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")
