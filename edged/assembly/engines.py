"""Where a rung's engine runs: in this process, in a child of its own, or on one of the box's Edge TPUs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from edged.assembly import plugins
from edged.assembly.adapters import adapter
from edged.assembly.notes import read_note, write_note
from edged.config.schema import EngineConfig
from edged.control.benchmark import quantile
from edged.control.possible import OWN_RUNTIMES
from edged.domain.device import Accelerator, AcceleratorKind, Evidence, Inventory
from edged.domain.errors import DeviceError
from edged.domain.figures import Figures
from edged.domain.ports import Engine
from edged.domain.variant import Rung

PROVIDERS: dict[str, tuple[str, ...]] = {
    "cpu": ("CPUExecutionProvider",),
    "cuda": ("CUDAExecutionProvider",),
    "tensorrt": ("TensorrtExecutionProvider", "CUDAExecutionProvider"),
    "openvino": ("OpenVINOExecutionProvider",),
}
"""ONNX Runtime's names, best first."""
CANARY = "canary.json"
EDGETPU: AcceleratorKind = "edgetpu"
BUSES = {"usb": "usb", "pcie": "pci"}
"""The inventory's word for a bus, and libedgetpu's."""
MEASURING_RUNS, WARMING_RUNS = 30, 3
"""Of a warm-up that shall give figures, and of another."""


@dataclass(slots=True)
class Engines:
    """Opens engines. Delegates and GPU providers run in children always, the CPU's when ``isolate`` is set.

    Without a ``state`` folder it serves who is such a child already, or wants no other: everything runs in this process.
    """

    settings: Mapping[str, EngineConfig] = field(default_factory=dict)
    edge_tpus: tuple[tuple[str, str], ...] = ()
    """Name, as libedgetpu has it, and node."""
    isolate: bool = False
    state: Path | None = None
    learned: Callable[[Rung, Figures], None] | None = None
    """Takes what an Edge TPU was measured to do when it was opened: nobody else can, while a pipeline holds it."""
    _pool: Any = None

    def isolates(self, rung: Rung) -> bool:
        """Whether this rung's engine runs in a child."""
        own = rung.variant.runtime in OWN_RUNTIMES
        return own and self.state is not None and (self.isolate or rung.accelerator != "cpu")

    def open(self, file: Path, rung: Rung) -> Engine:
        """Open a rung's file. Raises BundleError and DeviceError."""
        if rung.accelerator == EDGETPU and rung.variant.runtime == "tflite":
            return self._on_edge_tpu(file, rung)
        return self._in_child(file, rung) if self.isolates(rung) else _here(file, rung)

    def _in_child(self, file: Path, rung: Rung) -> Engine:
        sandbox = adapter("edged.engines.sandbox")
        order = sandbox.Order(
            file,
            rung.variant.runtime,
            threads=rung.threads,
            providers=PROVIDERS.get(rung.accelerator, ("CPUExecutionProvider",)),
        )
        engine: Engine = sandbox.open_engine(order, self._home(sandbox, rung))
        return engine

    def _on_edge_tpu(self, file: Path, rung: Rung) -> Engine:
        if self.state is None:
            message = f"cannot run {file.name} here: an Edge TPU is opened by the daemon alone"
            raise DeviceError(message, code="device-busy")
        sandbox, edgetpu = adapter("edged.engines.sandbox"), adapter("edged.engines.edgetpu")
        if self._pool is None:
            note = self.state / CANARY
            canary = edgetpu.Canary(partial(read_note, note), partial(write_note, note))
            devices = [edgetpu.Device(name, node) for name, node in self.edge_tpus]
            self._pool = edgetpu.Pool(devices, canary, self._of(EDGETPU).library)
        runs = MEASURING_RUNS if rung.figures is None else WARMING_RUNS
        leased = self._pool.open(file, self._home(sandbox, rung), runs)
        if rung.figures is None and self.learned is not None:
            self.learned(rung, figures(leased.engine.cost))
        engine: Engine = leased
        return engine

    def _home(self, sandbox: Any, rung: Rung) -> Any:
        p99_s = rung.figures.p99_ms / 1000 if rung.figures else None
        return sandbox.Home(python=self._of(rung.accelerator).python, p99_s=p99_s)

    def _of(self, accelerator: str) -> EngineConfig:
        return self.settings.get(accelerator, EngineConfig())


def edge_tpus(inventory: Inventory, settings: Mapping[str, EngineConfig]) -> tuple[tuple[str, str], ...]:
    """Name the Edge TPUs: those of the configuration, or else those that were found, numbered on each bus as libedgetpu does."""
    named = settings.get(EDGETPU, EngineConfig()).devices
    if named:
        return tuple((name, "") for name in named)
    counts: dict[str, int] = {}
    found = []
    for one in inventory.accelerators:
        if one.kind == EDGETPU and one.bus in BUSES:
            index = counts[one.bus] = counts.get(one.bus, -1) + 1
            nodes = [f"/{evidence.path}" for evidence in one.evidence if evidence.path.startswith("dev/")]
            found.append((f"{BUSES[one.bus]}:{index}", nodes[0] if nodes else ""))
    return tuple(found)


def figures(cost: Any) -> Figures:
    """Turn what a child's warm-up cost into figures."""
    took_ms = [1000 * took_s for took_s in cost.took_s]
    return Figures(
        threads=1,
        runs=len(took_ms),
        p50_ms=round(quantile(took_ms, 0.5), 4),
        p99_ms=round(quantile(took_ms, 0.99), 4),
        cpu_ms=round(1000 * cost.cpu_s / len(took_ms), 4),
        load_ms=round(1000 * cost.load_s, 2),
        peak_memory_mb=round(cost.memory_kib / 1024, 2),
    )


def with_named(inventory: Inventory, settings: Mapping[str, EngineConfig]) -> Inventory:
    """Add the Edge TPUs that the configuration names to what was found: a container may hide where they show."""
    named = settings.get(EDGETPU, EngineConfig()).devices
    if not named or inventory.usable(EDGETPU):
        return inventory
    evidence = (Evidence("engine.edgetpu.devices", " ".join(named)),)
    bus = {word: bus for bus, word in BUSES.items()}[named[0].partition(":")[0]]
    added = Accelerator(
        EDGETPU,
        bus,
        usable=True,
        state="ready",
        reason="named by the configuration",
        name="Edge TPU",
        evidence=evidence,
    )
    return replace(inventory, accelerators=(*inventory.accelerators, added))


def _here(file: Path, rung: Rung) -> Engine:
    if rung.variant.runtime == "onnx":
        onnx: Engine = adapter("edged.engines.onnx", "onnx").open_engine(
            file, threads=rung.threads, providers=PROVIDERS[rung.accelerator]
        )
        return onnx
    if rung.variant.runtime not in OWN_RUNTIMES:
        return plugins.open_engine(rung.variant.runtime, file, threads=rung.threads, accelerator=rung.accelerator)
    tflite: Engine = adapter("edged.engines.tflite", "tflite").open_engine(file, threads=rung.threads)
    return tflite
