"""A file that came over the air and is what its signers promised."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

SHA256 = re.compile(r"[0-9a-f]{64}")
TARGET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,199}")
"""A file's name in a repository: one plain name, so that no disk, URL or topic reads a path into it."""

_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class VerifiedArtefact:
    """``path`` holds ``length`` bytes of digest ``sha256``, as signed for release ``version`` of model ``name``.

    ``custom`` is what the signers say beside that: ``min_edged``, ``profiles``, ``license``.
    """

    name: str
    version: str
    length: int
    sha256: str
    path: Path
    custom: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)

    def __post_init__(self) -> None:
        """Refuse what cannot have been verified."""
        if not SHA256.fullmatch(self.sha256) or self.length <= 0:
            message = f"cannot have verified {self.length} bytes of sha256 {self.sha256!r}, expected some, and a digest"
            raise ValueError(message)
