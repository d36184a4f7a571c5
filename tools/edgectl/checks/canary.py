"""A model that is run on an accelerator to see whether it works: in a child, by the daemon's own engines."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgectl.checks.rows import Ground
from edged.assembly.box import model_folders
from edged.assembly.engines import MEASURING_RUNS, Engines, figures
from edged.config.share import shipped
from edged.control.possible import DRIVEN_BY, OWN_RUNTIMES
from edged.domain.bundle import Bundle, Variant
from edged.domain.errors import DeadlineError, DeviceError
from edged.domain.figures import Figures
from edged.domain.variant import Rung
from edged.engines import sandbox
from edged.engines.sandbox_deadline import Patience
from edged.update.manifest import find_bundles, read_bundle

SMALL = "parts"
"""The shipped bundle whose ONNX file stands in where no bundle names an accelerator of ONNX Runtime's."""
COMPILING_S = 3600.0
LIBRARIES = re.compile(r"lib(nvinfer|cudart|cudnn|cublas|openvino|edgetpu|onnxruntime|tensorflow|LiteRt)\w*\.so[.\d]*")


@dataclass(frozen=True, slots=True)
class Canary:
    """A file, how it runs, and what that gave."""

    name: str
    file: Path
    rung: Rung
    engines: Engines
    cache: Path
    """Where it is compiled: once, however often it is opened."""
    figures: Figures = field(default_factory=lambda: Figures(1, 1, 0.0, 0.0, 0.0, 0.0, 0.0))
    details: Mapping[str, Any] = field(default_factory=dict)

    def measured(self) -> Canary:
        """Open it, which runs it; gives the same with figures. Raises EdgedError when it does not run."""
        engine = self.open()
        try:
            told = engine_of(engine)
            found = figures(told.cost, self.rung.threads)
            details = {"hello": _words(told.hello), "libraries": libraries(told.pid), "figures": _words(found)}
            return replace(self, figures=found, details=details)
        finally:
            engine.close()

    def open(self) -> Any:
        """Open it in a child. Raises EdgedError."""
        if self.rung.accelerator == "edgetpu":
            return self.engines.open(self.file, self.rung)
        order = self.engines.order(self.file, self.rung, self.cache, MEASURING_RUNS)
        home = replace(self.engines.home(self.rung), patience=Patience(opening_s=COMPILING_S))
        return sandbox.open_engine(order, home)


def canary_for(way: str, ground: Ground, cache: Path) -> Canary | None:
    """Give the smallest file that runs there; None when there is none. What has to be compiled is kept in the folder ``cache``."""
    wanted = DRIVEN_BY.get(way)
    installed = {one.runtime for one in ground.box.runtimes}
    candidates = [
        (bundle, variant)
        for bundles in find_bundles(model_folders(ground.config)).bundles.values()
        for bundle in bundles[:1]
        for variant in bundle.manifest.variant
        if way in variant.accelerators and variant.runtime in OWN_RUNTIMES
        if wanted is not None or variant.runtime in installed
    ]
    if not candidates and wanted == "onnx":
        candidates = [_stand_in(way)]
    if not candidates:
        return None
    bundle, variant = min(candidates, key=lambda one: one[0].path_of(one[1]).stat().st_size)
    rung = Rung(variant, way, 1, "possible", "")
    # What is measured here is no figure of the daemon's: nothing else ran.
    engines = replace(ground.box.engines, learned=None)
    return Canary(f"{bundle.manifest.name} {variant.id}", bundle.path_of(variant), rung, engines, cache)


def hang(canary: Canary) -> tuple[float, float]:
    """Stop its child in the middle of a call; gives the seconds until it was ended, and from then until the device opened again.

    Raises EdgedError when the child was not ended, or the device does not open again.
    """
    engine = canary.open()
    try:
        inputs = [np.zeros([max(1, size) for size in spec.shape], spec.dtype) for spec in engine.inputs]
        os.kill(engine_of(engine).pid, signal.SIGSTOP)
        began_s = time.monotonic()
        try:
            engine.infer(inputs)
        except DeadlineError:
            ended_s = time.monotonic() - began_s
        else:
            message = "a stopped process gave an answer, expected none"
            raise DeviceError(message)
    finally:
        engine.close()
    began_s = time.monotonic()
    canary.open().close()
    return ended_s, time.monotonic() - began_s


def engine_of(opened: Any) -> sandbox.SandboxEngine:
    """Give the engine behind a lease, or the engine itself."""
    engine: sandbox.SandboxEngine = getattr(opened, "engine", opened)
    return engine


def libraries(pid: int) -> list[str]:
    """Name the libraries that a process has loaded and whose versions matter."""
    try:
        maps = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    mapped = {Path(path).resolve().name for path in re.findall(r"\s(/\S+)$", maps, re.MULTILINE)}
    return sorted(name for name in mapped if LIBRARIES.match(name))


def _stand_in(way: str) -> tuple[Bundle, Variant]:
    bundle = read_bundle(shipped("models") / SMALL)
    onnx = [one for one in bundle.manifest.variant if one.runtime == "onnx" and one.precision == "fp32"]
    return bundle, onnx[-1].model_copy(update={"accelerators": (way,)})


def _words(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__slots__}
