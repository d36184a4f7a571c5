"""What a published repository offers: releases as orders name them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, TargetFile, Targets

from edged.domain.errors import ConfigError
from edged.fleet.places import METADATA
from edged.update.archive import SUFFIX
from edged.update.desired import ModelOrder

_NUMBERED = re.compile(r"(\d+)\.(.+)\.json")


@dataclass(frozen=True, slots=True)
class Published:
    """A release in the repository, and what its signers say of it."""

    order: ModelOrder
    custom: Mapping[str, Any]


def find_releases(folder: Path) -> list[Published]:
    """List the releases in a published folder, by model and version. Raises ConfigError when it is none.

    Nothing is verified: it is the keeper's own folder, and a box takes nobody's word for it.
    """
    found = []
    for role in newest(folder):
        if role != "root":
            found += [
                _published(name, target)
                for name, target in _targets(folder, role).items()
                if name.endswith(SUFFIX) and "name" in (target.custom or {})
            ]
    return sorted(
        found, key=lambda one: (one.order.model, [int(part) for part in re.findall(r"\d+", one.order.version)])
    )


def find_release(folder: Path, model: str, version: str = "") -> ModelOrder:
    """Give one release, or the newest of a model. Raises ConfigError when there is none."""
    found = [
        one.order for one in find_releases(folder) if one.order.model == model and version in {"", one.order.version}
    ]
    if not found:
        message = (
            f"cannot find release {model} {version}".rstrip() + f": {folder} does not offer it, expected it published"
        )
        raise ConfigError(message, remedy="edgectl repo add, sign and publish it")
    return found[-1]


def newest(folder: Path) -> dict[str, Path]:
    """Give the newest metadata of each role whose files are numbered, by role: root, snapshot, targets and delegations.

    Raises ConfigError when there is none.
    """
    found: dict[str, tuple[int, Path]] = {}
    for file in (folder / METADATA).glob("*.json"):
        named = _NUMBERED.fullmatch(file.name)
        if named and int(named[1]) > found.get(named[2], (0, file))[0]:
            found[named[2]] = (int(named[1]), file)
    if not found:
        message = f"cannot use {folder}: it holds no {METADATA}, expected a published repository"
        raise ConfigError(message, remedy="name the folder that edgectl repo publish wrote")
    return {role: file for role, (_, file) in found.items()}


def _targets(folder: Path, role: str) -> dict[str, TargetFile]:
    file = newest(folder)[role]
    try:
        signed: Any = Metadata.from_file(str(file)).signed
    except (RepositoryError, OSError) as error:
        message = f"cannot read {file}: {' '.join(str(error).split())}, expected metadata"
        raise ConfigError(message) from error
    return dict(signed.targets) if isinstance(signed, Targets) else {}


def _published(name: str, target: TargetFile) -> Published:
    custom = dict(target.custom or {})
    order = ModelOrder(str(custom["name"]), str(custom["version"]), name, target.length, target.hashes["sha256"])
    return Published(order, custom)
