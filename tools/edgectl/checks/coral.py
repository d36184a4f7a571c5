"""libedgetpu against the runtime that loads it: built for another TFLite than that, it crashes the process."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from edgectl.checks.rows import Ground, Row, Verdict
from edged.assembly.engines import CANARY
from edged.engines.edgetpu import FOLDERS, LIBRARY
from edged.engines.edgetpu_canary import CRASHES
from edged.hardware.runtimes import InstalledRuntime

PACKAGES = ("libedgetpu1-std", "libedgetpu1-max")
STATUS = "var/lib/dpkg/status"
BREAKS_FROM = (2, 12)
"""Google's own builds (16.0, of TensorFlow 2.5) crash with TFLite 2.12 and later: google-coral/edgetpu 812, libedgetpu 53."""
REMEDY = (
    "name an interpreter with the runtime that it was built for, python below [engine.edgetpu], "
    "or install the libedgetpu of github.com/feranick/libedgetpu that fits"
)


def rows(ground: Ground) -> Iterator[Row]:
    """Hold the installed library against the TFLite runtime, and tell which pairs crashed here before."""
    wanted = (
        any(one.kind == "edgetpu" for one in ground.box.inventory.accelerators) or "edgetpu" in ground.config.engine
    )
    version = installed(ground)
    if not wanted and not version:
        yield Row("fits the runtime", LIBRARY, "skipped", "no Edge TPU, and no library for one")
        return
    other = ground.config.engine["edgetpu"].python if "edgetpu" in ground.config.engine else None
    runtime = next((one for one in ground.box.runtimes if one.runtime == "tflite"), None)
    if other is not None or runtime is None:
        why = f"{other} runs it: see the canary below" if other else "no TFLite runtime is known"
        yield Row("fits the runtime", LIBRARY, "skipped", why)
    else:
        yield Row("fits the runtime", LIBRARY, *fit(version, runtime))
    for name, crashes in _crashed(ground):
        yield Row("crashed before", LIBRARY, "fail", f"{name}: {crashes} times in a row", REMEDY)


def fit(version: str, runtime: InstalledRuntime) -> Verdict:
    """Judge a package's version, such as ``16.0`` (Google's) or ``16.0tf2.19.1-1``, with the runtime; empty is unknown."""
    shown = f"{version or 'of unknown version'} with {runtime.distribution} {runtime.version}"
    if not version:
        return "skipped", shown, ""
    built_for = re.search(r"tf(\d+)\.(\d+)", version, re.IGNORECASE)
    if runtime.distribution == "ai-edge-litert":
        if built_for is None:
            return "fail", f"{shown}: built for TensorFlow 2.5, it crashes with 2.12 and later", REMEDY
        return "warn", f"{shown}: nobody promises that LiteRT 2 loads it; the canary tells", REMEDY
    minor = tuple(int(part) for part in re.findall(r"\d+", runtime.version)[:2])
    if built_for is None:
        is_broken = minor >= BREAKS_FROM
        return ("fail", f"{shown}: built for TensorFlow 2.5", REMEDY) if is_broken else ("ok", shown, "")
    if tuple(map(int, built_for.groups())) != minor:
        return "warn", f"{shown}: another minor version", REMEDY
    return "ok", shown, ""


def installed(ground: Ground) -> str:
    """Give the library's version by the system's packages; empty where it came otherwise, or not at all."""
    text = ground.tree.raw(STATUS) or ""
    for name in PACKAGES:
        found = re.search(rf"^Package: {name}\n(?:.+\n)*?Version: (\S+)$", text, re.MULTILINE)
        if found:
            return found[1]
    return "" if ground.is_live else _by_file(ground)


def _by_file(ground: Ground) -> str:
    places = (folder.lstrip("/") for folder in FOLDERS if "*" not in folder)
    return "of unknown version" if any(ground.tree.exists(f"{place}/{LIBRARY}") for place in places) else ""


def _crashed(ground: Ground) -> Iterator[tuple[str, int]]:
    """Read what the daemon noted of pairs that crashed."""
    try:
        pairs: Mapping[str, Any] = json.loads((ground.config.state.directory / CANARY).read_bytes())["pairs"]
        counted = {str(name): int(past["crashes"]) for name, past in pairs.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return
    yield from ((name, crashes) for name, crashes in counted.items() if crashes >= CRASHES)
