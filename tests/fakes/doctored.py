"""What the checks of ``edgectl doctor`` stand on, made up or this machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgectl.checks.rows import Ground, Row
from edged.assembly.box import Box
from edged.config.schema import Config
from edged.hardware.runtimes import InstalledRuntime
from fakes.box import inventory, profile

LITERT = InstalledRuntime("tflite", "ai-edge-litert", "2.3.0")


def ground(root: Path, **sections: Any) -> Ground:
    """Stand on a made-up machine's files."""
    document = {"device": {"id": "press-07"}, "state": {"directory": str(root / "state")}, **sections}
    box = Box(inventory(), profile({"accelerator": "cpu"}), (), is_this_machine=False)
    return Ground(Config.model_validate(document), box, root=root)


def live(tmp_path: Path, **sections: Any) -> Ground:
    """Stand on this machine."""
    made = ground(tmp_path, **sections)
    return replace(made, box=replace(made.box, is_this_machine=True), root=Path("/"))


def files(root: Path, contents: Mapping[str, str]) -> Path:
    for name, content in contents.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


def status_of(rows: Iterator[Row] | tuple[Row, ...]) -> dict[str, tuple[str, str]]:
    return {row.check: (row.status, row.remedy) for row in rows}
