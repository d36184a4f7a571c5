"""Memory of the daemon's whole process tree, on a 720p source at its own pace with one LiteRT model.

This process loads none of the libraries that the daemon loads: their pages would be shared, and PSS would count half of them.
"""

from __future__ import annotations

import tempfile
from contextlib import closing
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import psutil
from apart import apart
from daemons import write_config
from figure import Effort, Figure
from listening import Listener
from settled import looks

from edged.demo.broker import Broker

TARGET_MB = 120.0
SETTLE_RESULTS = 90
"""Six seconds: after three without another model the daemon gives back what only starting took."""
SECONDS = 20
KEYS = ("Rss", "Pss", "Private_Dirty")


@dataclass(frozen=True, slots=True)
class Scene:
    """What the daemon shall run on."""

    bundle: Path
    clip: Path
    codec: str
    is_substitute: bool


def measure(effort: Effort) -> list[Figure]:
    """Give the one row: the highest of a few looks, each second one."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scene = apart(_prepare, folder)
        with closing(Broker(folder)) as broker, closing(Listener(broker.port)) as listener:
            source = f'kind = "file"\npath = "{scene.clip}"\npace = "recorded"\nloop = true\n'
            config = write_config(folder / "box", scene.bundle, broker.port, source)
            seen = looks(config, listener, SETTLE_RESULTS, effort.times(SECONDS), _look)
    # Once a model, and later than 20 s after the start, a child measures its variants: it is told, and it is not what runs.
    alone = [look for look in seen if look["processes"] == 1]
    pss, rss, dirty, measuring = (
        _most(alone, "Pss"),
        _most(alone, "Rss"),
        _most(alone, "Private_Dirty"),
        _most(seen, "Pss"),
    )
    beside = f"; up to {measuring:.0f} MB while a child measures variants" if len(alone) < len(seen) else ""
    return [
        Figure(
            "memory (PSS over the process tree), one 720p source, one LiteRT model, HTTP off",
            f"≤ {TARGET_MB:.0f} MB",
            f"{pss:.0f} MB",
            None if scene.is_substitute else pss <= TARGET_MB,
            f"highest of {len(alone)} looks in as many seconds; RSS {rss:.0f} MB, of which {dirty:.0f} MB are its own and the rest "
            f"pages of files{beside}; {scene.codec}",
            "Frigate 87 to 100 MB the detector and 72 to 76 MB a camera (RSS)",
        )
    ]


def _prepare(folder: Path) -> Scene:
    net = import_module("networks").network("large", folder / "bundles")
    clip = folder / "clip.mp4"
    return Scene(net.bundle.folder, clip, import_module("clip").film(clip), net.is_substitute)


def _most(looks: list[dict[str, float]], key: str) -> float:
    return max(look[key] for look in looks)


def _look(pid: int) -> dict[str, float]:
    """Sum smaps_rollup over the tree, in MB; ``processes`` says how many they were."""
    root = psutil.Process(pid)
    tree = (root, *root.children(recursive=True))
    total = dict.fromkeys(KEYS, 0.0) | {"processes": float(len(tree))}
    for process in tree:
        for line in _rollup(process.pid).splitlines()[1:]:
            key, _, value = line.partition(":")
            if key in total:
                total[key] += int(value.split()[0]) * 1024 / 1e6
    return total


def _rollup(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):  # a child that has ended meanwhile
        return ""
