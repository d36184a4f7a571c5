"""One candidate, measured in a process of its own that may crash: opened as the daemon opens it, and run in bursts as it is told to.

It is started with an order as its argument. Each line on standard input asks for a burst of so many milliseconds, the end of the
input for the end; every answer is one JSON line: ``loaded``, ``samples``, ``ended`` or ``failed``.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from edged.assembly.adapters import adapter
from edged.assembly.models import open_rung
from edged.domain.bundle import Bundle, ImageInput, Variant
from edged.domain.errors import BundleError, DeviceError, EdgedError
from edged.domain.frame import Frame, Stamp
from edged.domain.tensor import Array
from edged.domain.variant import Rung
from edged.hardware.spare import die_with_parent, give_way, waiting_ns
from edged.pipeline.model import Model
from edged.update.manifest import read_bundle, sha256_of
from edged.update.trial import ANSWER_SUFFIX, WINDOW_SUFFIX

LOADED, SAMPLES, ENDED, FAILED = "loaded", "samples", "ended", "failed"
MOST_SAMPLES = 300
"""Of a burst: networks of a few microseconds must not flood the pipe."""
FRAME_HEIGHT, FRAME_WIDTH = 480, 640
SEED = 20_260
NOISE_PEAK = 1.9
"""Ones and zeros among integers, numbers of ordinary size among floats."""
_NS_PER_MS = 1_000_000
_KIB_PER_MIB = 1024


@dataclass(frozen=True, slots=True)
class Order:
    """What to measure. ``polite``: only with what the box has to spare."""

    bundle: str
    """The bundle's folder."""
    variant: str
    accelerator: str
    threads: int
    warmup_runs: int = 3
    polite: bool = True

    def text(self) -> str:
        """Write it as the child's argument."""
        return json.dumps(asdict(self))


def main() -> None:
    """Obey the order that stands in the arguments."""
    told = _own_channel()
    order = Order(**json.loads(sys.argv[1]))
    die_with_parent()
    if order.polite:
        give_way()
    try:
        _obey(order, told)
    except EdgedError as error:
        _tell(told, FAILED, {"kind": type(error).__name__, "message": str(error.args[0])})
    except (OSError, MemoryError, ImportError) as error:
        # The disk, the memory, a library of the system: no fault of the file's.
        why = f"{type(error).__name__}: {error}"
        _tell(told, FAILED, {"kind": type(error).__name__, "message": f"cannot measure {order.variant}: {why}"})


def _obey(order: Order, told: IO[str]) -> None:
    bundle, variant = _ordered(order)
    frame = sample_frame(bundle, variant)
    before_mb = _reset_peak()
    began_ns = time.perf_counter_ns()
    model = open_rung(bundle, Rung(variant, order.accelerator, order.threads, "possible", ""))
    tensors = tensors_for(model, frame)
    model.engine.infer(tensors)
    load_ms = (time.perf_counter_ns() - began_ns) / _NS_PER_MS
    for _ in range(order.warmup_runs):
        model.engine.infer(tensors)
    _tell(told, LOADED, {"load_ms": load_ms})
    for line in sys.stdin:
        _tell(told, SAMPLES, _burst(model, tensors, float(line)))
    _tell(told, ENDED, {"peak_memory_mb": max(0.0, _memory_mb("VmHWM") - before_mb)})


def _ordered(order: Order) -> tuple[Bundle, Variant]:
    """Give the variant, whole. Raises DeviceError when it is not there any more, or cannot be read: the store may have let it go."""
    try:
        bundle = read_bundle(Path(order.bundle))
        variant = next((one for one in bundle.manifest.variant if one.id == order.variant), None)
        if variant is None or sha256_of(bundle.path_of(variant)) != variant.sha256:
            message = f"cannot measure {order.variant}: its file is not what it was, expected the one that was ordered"
            raise DeviceError(message)
    except BundleError as error:
        raise DeviceError(str(error.args[0])) from error
    return bundle, variant


def _burst(model: Model, tensors: Sequence[Array], burst_ms: float) -> list[tuple[int, int, int]]:
    """Call until the time is over; gives wall, processor and waiting time of each call in nanoseconds."""
    samples: list[tuple[int, int, int]] = []
    until_ns = time.perf_counter_ns() + int(burst_ms * _NS_PER_MS)
    infer = model.engine.infer
    while len(samples) < MOST_SAMPLES:
        waited_ns, cpu_ns, began_ns = waiting_ns("self"), time.process_time_ns(), time.perf_counter_ns()
        infer(tensors)
        ended_ns = time.perf_counter_ns()
        samples.append((ended_ns - began_ns, time.process_time_ns() - cpu_ns, waiting_ns("self") - waited_ns))
        if ended_ns >= until_ns:
            break
    return samples


def sample_frame(bundle: Bundle, variant: Variant) -> Frame:
    """Give the first golden sample, or noise of the right shape where the bundle brings none."""
    data = _golden(bundle, variant)
    if data is None:
        noise = np.random.default_rng(SEED)
        wanted = bundle.input_of(variant)
        if isinstance(wanted, ImageInput):
            data = noise.integers(0, 256, (FRAME_HEIGHT, FRAME_WIDTH, 3), np.uint8)
        else:
            data = noise.standard_normal((wanted.length, wanted.channels)).astype(np.float32)
    return Frame(data, Stamp(0, 0, 0, 0.0))


def tensors_for(model: Model, frame: Frame) -> Sequence[Array]:
    """Give what the engine takes for this frame; noise where the frame cannot be prepared (a model that is not calibrated yet)."""
    try:
        return model.preprocess(frame)
    except EdgedError:
        noise = np.random.default_rng(SEED)
        shapes = [tuple(max(1, size) for size in spec.shape) for spec in model.engine.inputs]
        return [
            (noise.random(shape) * NOISE_PEAK).astype(spec.dtype)
            for shape, spec in zip(shapes, model.engine.inputs, strict=True)
        ]


def _golden(bundle: Bundle, variant: Variant) -> Array | None:
    golden = bundle.golden_of(variant)
    if golden is None:
        return None
    for file in sorted((bundle.folder / golden.samples).iterdir()):
        # What cannot be read is the trial's business: here any input of the right shape does.
        with suppress(EdgedError, OSError, ValueError, EOFError):
            if file.suffix == WINDOW_SUFFIX:
                window: Array = np.load(file, allow_pickle=False)
                return window
            if file.suffix != ANSWER_SUFFIX and file.is_file():
                picture: Array = adapter("edged.sources.images").read_picture(file)
                return picture
    return None


def _own_channel() -> IO[str]:
    """Keep standard output for the answers: what libraries print goes to the log."""
    told = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return told


def _tell(told: IO[str], what: str, content: Any) -> None:
    told.write(json.dumps({what: content}) + "\n")
    told.flush()


def _reset_peak() -> float:
    """Let the kernel count the peak anew, and give what is resident now (Documentation/filesystems/proc.rst, clear_refs)."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return _memory_mb("VmRSS")


def _memory_mb(name: str) -> float:
    text = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name}:")), 0) / _KIB_PER_MIB


if __name__ == "__main__":
    main()
