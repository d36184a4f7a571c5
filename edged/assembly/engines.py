"""Where a rung's engine runs: in this process, in a child of its own, or on one of the box's Edge TPUs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from edged.assembly import plugins
from edged.assembly.adapters import adapter
from edged.assembly.compiling import Compiling
from edged.assembly.notes import read_note, write_note
from edged.assembly.secrets import secret
from edged.assembly.sharing import Shares
from edged.config.schema import EngineConfig, Remote
from edged.control.benchmark import quantile
from edged.control.possible import OWN_RUNTIMES
from edged.domain.device import Accelerator, AcceleratorKind, Evidence, Inventory
from edged.domain.errors import BundleError, DeviceError, EdgedError
from edged.domain.figures import Figures
from edged.domain.ports import Engine
from edged.domain.variant import Rung
from edged.engines.providers import BUILT, Setting, providers

CANARY = "canary.json"
EDGETPU: AcceleratorKind = "edgetpu"
BUSES = {"usb": "usb", "pcie": "pci"}
"""The inventory's word for a bus, and libedgetpu's."""
MEASURING_RUNS, WARMING_RUNS = 30, 3
"""Of a warm-up that shall give figures, and of another."""
LEAST_NICE, PATIENT_S = 19, 20.0
"""Of what runs behind everything else: on a box that is never idle a call may wait for its processor so long."""
STALE = frozenset({"runtime-crashed", "deadline", "engine-lost"})
"""How a compiled model that does not fit ends its child, beside being refused."""


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
    """Takes what an accelerator was measured to do when it was opened: nobody else can, while a pipeline holds it."""
    compiling: Compiling | None = None
    """What is compiled for this box's accelerators."""
    free_mb: Callable[[], float | None] = lambda: None
    """What models may add to the system's memory now."""
    aside: bool = False
    """Whether it opens what runs behind everything else: in children always, with the least priority, and with patience for that."""
    remotes: Mapping[str, Remote] = field(default_factory=dict)
    """The servers that run a model too, by its name."""
    shares: Shares = field(default_factory=Shares)
    """What several in this process run together."""
    _pool: Any = None

    def isolates(self, rung: Rung) -> bool:
        """Whether this rung's engine runs in a child."""
        own = rung.variant.runtime in OWN_RUNTIMES
        return own and (self.aside or (self.state is not None and (self.isolate or rung.accelerator != "cpu")))

    def open(self, file: Path, rung: Rung) -> Engine:
        """Open a rung's file. Raises BundleError and DeviceError."""
        if rung.remote:
            return self._far(rung.remote)
        if rung.accelerator == EDGETPU and rung.variant.runtime == "tflite":
            return self._on_edge_tpu(file, rung)
        return self._in_child(file, rung) if self.isolates(rung) else self.shares.take(file, rung, _here)

    def _far(self, name: str) -> Engine:
        told, remote = self.remotes[name], adapter("edged.engines.remote", "remote")
        asked = told.model or name, told.version or "", told.deadline_ms / 1000
        engine: Engine = remote.open_engine(remote.Server(told.url, *asked, secret(told.token_file), told.ca))
        return engine

    def know(self, edge_tpus: tuple[tuple[str, str], ...]) -> None:
        """Take these as the box's Edge TPUs from now on."""
        self.edge_tpus = edge_tpus
        if self._pool is not None:
            self._pool.know([adapter("edged.engines.edgetpu").Device(name, node) for name, node in edge_tpus])

    def order(self, file: Path, rung: Rung, cache: Path | None, runs: int) -> Any:
        """Say what a child shall run. ``cache`` is the folder of the compiled model, where there is one."""
        shares = self.compiling is not None and self.compiling.shares_memory(rung.accelerator)
        room_mb = self.free_mb() if shares else None
        setting = Setting(rung.variant.precision, rung.threads, cache, room_mb)
        found = providers(rung.accelerator, setting) if rung.variant.runtime == "onnx" else ()
        order = adapter("edged.engines.sandbox").Order
        return order(file, rung.variant.runtime, threads=rung.threads, providers=found, runs=runs)

    def home(self, rung: Rung) -> Any:
        """Say where its child lives."""
        p99_s = rung.figures.p99_ms / 1000 if rung.figures else None
        home = adapter("edged.engines.sandbox").Home(python=self._of(rung.accelerator).python, p99_s=p99_s)
        return (
            replace(home, nice=LEAST_NICE, patience=replace(home.patience, floor_s=PATIENT_S)) if self.aside else home
        )

    def _in_child(self, file: Path, rung: Rung) -> Engine:
        is_new = rung.figures is None and rung.accelerator != "cpu"
        cache = self._compiled(rung)
        order = self.order(file, rung, cache, MEASURING_RUNS if is_new else WARMING_RUNS)
        before_mb = self.free_mb()
        try:
            engine: Any = adapter("edged.engines.sandbox").open_engine(order, self.home(rung))
        except EdgedError as error:
            if cache is not None and (isinstance(error, BundleError) or error.code in STALE):
                raise self._dropped(rung, error) from error
            raise
        if cache is not None and self.compiling is not None:
            self.compiling.cache.accept(self.compiling.key(rung.variant, rung.accelerator))
        if is_new and self.learned is not None:
            self.learned(rung, figures(engine.cost, rung.threads, self._taken_mb(rung, before_mb)))
        opened: Engine = engine
        return opened

    def _compiled(self, rung: Rung) -> Path | None:
        """Give the folder of the compiled model; None where nothing is compiled. Raises DeviceError where it should be and is not."""
        if rung.accelerator not in BUILT or self.compiling is None:
            return None
        cache = self.compiling.cache.find(self.compiling.key(rung.variant, rung.accelerator))
        if cache is None:
            self.compiling.revision += 1
            message = (
                f"cannot run {rung.variant.id} on {rung.accelerator}: it is not compiled for the device, or was damaged"
            )
            raise DeviceError(message, remedy="the daemon does that behind its pipelines", code="engine-uncompiled")
        return cache

    def _dropped(self, rung: Rung, error: EdgedError) -> DeviceError:
        """Have it compiled anew: the file itself was loaded before, so that no bundle is to blame."""
        if self.compiling is not None:
            key = self.compiling.key(rung.variant, rung.accelerator)
            self.compiling.cache.drop(key)
            self.compiling.changed(key)
        message = f"cannot run {rung.variant.id} as it was compiled for {rung.accelerator}, and compiles it anew: {error.args[0]}"
        return DeviceError(message, code="engine-stale")

    def _taken_mb(self, rung: Rung, before_mb: float | None) -> float:
        """Give what the device took of the system's memory, which its process's own size does not show; 0 where it has its own."""
        after_mb = self.free_mb()
        if self.compiling is None or not self.compiling.shares_memory(rung.accelerator):
            return 0.0
        return 0.0 if before_mb is None or after_mb is None else max(0.0, before_mb - after_mb)

    def _on_edge_tpu(self, file: Path, rung: Rung) -> Engine:
        if self.state is None:
            message = f"cannot run {file.name} here: an Edge TPU is opened by the daemon alone"
            raise DeviceError(message, code="device-busy")
        edgetpu = adapter("edged.engines.edgetpu")
        if self._pool is None:
            note = self.state / CANARY
            canary = edgetpu.Canary(partial(read_note, note), partial(write_note, note))
            devices = [edgetpu.Device(name, node) for name, node in self.edge_tpus]
            self._pool = edgetpu.Pool(devices, canary, self._of(EDGETPU).library)
        runs = MEASURING_RUNS if rung.figures is None else WARMING_RUNS
        leased = self._pool.open(file, self.home(rung), runs)
        if rung.figures is None and self.learned is not None:
            self.learned(rung, figures(leased.engine.cost))
        engine: Engine = leased
        return engine

    def _of(self, accelerator: str) -> EngineConfig:
        if self.compiling is not None:
            return self.compiling.settings(accelerator)
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


def measures_itself(runtime: str, accelerator: str) -> bool:
    """Whether an engine is measured when it is opened, and not behind the pipelines."""
    return runtime in OWN_RUNTIMES and accelerator != "cpu"


def figures(cost: Any, threads: int = 1, taken_mb: float = 0.0) -> Figures:
    """Turn what a child's warm-up cost into figures; ``taken_mb`` is what its device took of the system's memory."""
    took_ms = [1000 * took_s for took_s in cost.took_s]
    return Figures(
        threads=threads,
        runs=len(took_ms),
        p50_ms=round(quantile(took_ms, 0.5), 4),
        p99_ms=round(quantile(took_ms, 0.99), 4),
        cpu_ms=round(1000 * cost.cpu_s / len(took_ms), 4),
        load_ms=round(1000 * cost.load_s, 2),
        peak_memory_mb=round(max(cost.memory_kib / 1024, taken_mb), 2),
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
    if rung.variant.runtime not in OWN_RUNTIMES:
        return plugins.open_engine(rung.variant.runtime, file, threads=rung.threads, accelerator=rung.accelerator)
    if rung.accelerator != "cpu":
        message = f"cannot run {file.name} on {rung.accelerator} here: accelerators are opened by the daemon alone"
        raise DeviceError(message, code="device-busy")
    kind = rung.variant.runtime
    engine: Engine = adapter(f"edged.engines.{kind}", kind).open_engine(file, threads=rung.threads)
    return engine
