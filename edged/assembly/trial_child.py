"""A candidate's trial, in a process of its own that may crash: its golden samples first, then many calls, timed and weighed.

It is started with an order as its argument, and writes one JSON line: ``passed`` with figures, ``refused`` with the reason, or ``failed``
when it is the box that could not.
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from edged.domain.errors import BundleError, DeviceError, EdgedError, EngineLostError
from edged.hardware import jail
from edged.hardware.spare import die_with_parent

if TYPE_CHECKING:
    from edged.domain.bundle import Bundle
    from edged.pipeline.model import Model

PASSED, REFUSED, FAILED = "passed", "refused", "failed"
OPENS = "opens"
"""Told when the file was loaded and bound: what fails before is another rung's chance."""
WARM_RUNS = 10
"""Until then runtimes fill their arenas and caches."""
GROWTH_MB = 4.0
"""Over all runs: 40 kB a call, at ten calls a second a gigabyte in 40 minutes."""
NICENESS = 10
_NS_PER_MS = 1_000_000
_KIB_PER_MIB = 1024


@dataclass(frozen=True, slots=True)
class TrialOrder:
    """What to try. ``cpu_s`` bounds its processor time; ``runs`` are timed."""

    bundle: str
    """The bundle's folder."""
    variant: str
    accelerator: str
    threads: int
    runs: int = 100
    cpu_s: float = 120.0

    def text(self) -> str:
        """Write it as the child's argument."""
        return json.dumps(asdict(self))


def main() -> None:
    """Obey the order that stands in the arguments."""
    order = TrialOrder(**json.loads(sys.argv[1]))
    told = os.fdopen(os.dup(1), "w", encoding="utf-8")
    # What libraries print goes to the log.
    os.dup2(2, 1)
    die_with_parent()
    with suppress(OSError):
        os.nice(NICENESS)
    # Before anything that starts threads: they inherit it.
    is_closed = _closed_off(order)
    try:
        _tell(told, PASSED, {**_tried(order, told), "closed_off": is_closed})
    except (BundleError, EngineLostError) as error:
        _tell(told, REFUSED, str(error.args[0]))
    except EdgedError as error:
        _tell(told, FAILED, {"code": error.code, "message": str(error.args[0])})


def _closed_off(order: TrialOrder) -> bool:
    """Close off; a kernel without filters costs that protection, not the box its updates."""
    jail.limit(order.cpu_s)
    try:
        jail.close_off()
    except DeviceError:
        return False
    return True


def _tried(order: TrialOrder, told: IO[str]) -> dict[str, float]:
    from edged.assembly.models import golden_fault, open_rung  # noqa: PLC0415 - NumPy starts threads
    from edged.domain.variant import Rung  # noqa: PLC0415
    from edged.update.manifest import read_bundle  # noqa: PLC0415

    bundle = read_bundle(Path(order.bundle))
    variant = next(one for one in bundle.manifest.variant if one.id == order.variant)
    before_mb, began_ns = _memory_mb("VmRSS"), time.perf_counter_ns()
    model = open_rung(bundle, Rung(variant, order.accelerator, order.threads, "possible", ""))
    load_ms = (time.perf_counter_ns() - began_ns) / _NS_PER_MS
    _tell(told, OPENS, round(load_ms, 3))
    fault = golden_fault(bundle, variant, model)
    if fault is not None:
        raise BundleError(fault)
    figures = _exercised(bundle, order, model)
    return {"load_ms": round(load_ms, 3), "peak_memory_mb": round(_memory_mb("VmHWM") - before_mb, 2), **figures}


def _exercised(bundle: Bundle, order: TrialOrder, model: Model) -> dict[str, float]:
    """Call it many times. Raises BundleError when it grows, or gives numbers that are none."""
    from edged.assembly.candidate import sample_frame, tensors_for  # noqa: PLC0415 - NumPy starts threads

    variant = next(one for one in bundle.manifest.variant if one.id == order.variant)
    tensors = tensors_for(model, sample_frame(bundle, variant))
    infer = model.engine.infer
    for _ in range(WARM_RUNS):
        infer(tensors)
    settled_mb, took_ms = _memory_mb("VmRSS"), []
    for _ in range(order.runs):
        began_ns = time.perf_counter_ns()
        outputs = infer(tensors)
        took_ms.append((time.perf_counter_ns() - began_ns) / _NS_PER_MS)
    grown_mb = _memory_mb("VmRSS") - settled_mb
    if grown_mb > GROWTH_MB:
        message = f"its memory grew by {grown_mb:.1f} MB in {order.runs} calls, expected at most {GROWTH_MB:.0f} MB"
        raise BundleError(message)
    _hold_finite(outputs)
    took_ms.sort()
    return {
        "p50_ms": round(took_ms[len(took_ms) // 2], 4),
        "p95_ms": round(took_ms[int(0.95 * len(took_ms))], 4),
        "grown_mb": round(grown_mb, 2),
    }


def _hold_finite(outputs: list[Any]) -> None:
    import numpy as np  # noqa: PLC0415 - it starts threads

    for index, output in enumerate(outputs):
        if output.dtype.kind == "f" and not np.isfinite(output).all():
            message = f"output {index} holds numbers that are none (NaN or infinite), expected finite ones"
            raise BundleError(message)


def _tell(told: IO[str], what: str, content: Any) -> None:
    told.write(json.dumps({what: content}) + "\n")
    told.flush()


def _memory_mb(name: str) -> float:
    text = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name}:")), 0) / _KIB_PER_MIB


if __name__ == "__main__":
    main()
