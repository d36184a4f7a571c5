"""All that the box tells, as lines of a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edged.domain.ports import Clock
from edged.sinks.box import SinkBox


def open_sink(*, options: Mapping[str, Any], clock: Clock, box: SinkBox) -> Journal:
    """Build it from ``options`` of the configuration: ``file``."""
    del clock
    return Journal(Path(options["file"]), box.device)


class Journal:
    """Holds the name of its file."""

    def __init__(self, file: Path, device: str) -> None:
        self._file, self._device = file, device

    def take(self, stream: str, document: Mapping[str, Any]) -> None:
        """Append a document."""
        with self._file.open("a", encoding="utf-8") as journal:
            journal.write(json.dumps({"device": self._device, "stream": stream, **document}) + "\n")

    def trouble(self) -> str:
        """Nothing is ever amiss."""
        return ""

    def close(self) -> None:
        """Nothing is held."""
