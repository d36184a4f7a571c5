"""What an accelerator of ONNX Runtime's waits for: a package that drives it, and the model compiled for the device."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from edged.config.schema import EngineConfig
from edged.control.possible import ACCELERATOR_HARDWARE
from edged.domain.bundle import Bundle, Variant
from edged.domain.device import Accelerator, Finding, Inventory
from edged.engines.engine_cache import FOLDER, EngineCache, Key
from edged.engines.providers import BUILT, EXTRAS, PACKAGES
from edged.fleet.topics import rfc3339
from edged.hardware.interpreters import Interpreter, look

SHARED_BUS = "soc"
"""An accelerator on the chip itself has the system's memory."""


class Compiling:
    """Knows what is compiled for this box, and what keeps the rest from running. ``revision`` counts what changed of that."""

    def __init__(
        self,
        inventory: Inventory,
        settings: Mapping[str, EngineConfig],
        state: Path,
        look: Callable[[Path | None], Interpreter] = look,
    ) -> None:
        self._inventory, self._settings, self._look = inventory, settings, look
        self.cache = EngineCache(state / FOLDER)
        self.revision = 0
        self._failures: dict[Key, str] = {}
        self._hindered: tuple[Key, str] | None = None

    def __repr__(self) -> str:
        return f"<Compiling {self.cache!r}, {len(self._failures)} failed>"

    @property
    def accelerators(self) -> tuple[str, ...]:
        """Those that models can be compiled for here."""
        return tuple(one for one in sorted(BUILT) if self._is_there(one) and not self.lacking(one))

    @property
    def elsewhere(self) -> tuple[str, ...]:
        """Those that run in an interpreter of their own."""
        return tuple(one for one in ACCELERATOR_HARDWARE if self.settings(one).python is not None)

    def settings(self, accelerator: str) -> EngineConfig:
        """Give its section, or that of its family: ``[engine.openvino]`` counts for ``openvino-npu``, too."""
        family = self._settings.get(accelerator.partition("-")[0], EngineConfig())
        return self._settings.get(accelerator, family)

    def key(self, variant: Variant, accelerator: str) -> Key:
        """Say what a compiled model is good for."""
        runtime, device = self.versions(accelerator), self.device(accelerator)
        return Key(variant.sha256, accelerator, variant.precision, runtime, device)

    def device(self, accelerator: str) -> str:
        """Name the device that it is compiled for: what it is, without its place, and its driver."""
        found = self._found(accelerator)
        if found is None:
            return f"the processor ({', '.join(self._inventory.cpu.int8) or self._inventory.arch})"
        driver = [one.value for one in found.evidence if one.path.endswith("/version")]
        return ", ".join([found.name.partition(" at ")[0], *driver])

    def shares_memory(self, accelerator: str) -> bool:
        """Whether the device has no memory of its own."""
        found = self._found(accelerator)
        return found is not None and found.bus == SHARED_BUS

    def lacking(self, accelerator: str) -> str:
        """Say which package is not there that drives it; empty when one is."""
        there = self._look(self.settings(accelerator).python)
        if not there.onnx.keys().isdisjoint(PACKAGES[accelerator]):
            return ""
        has = ", ".join(f"{name} {version}" for name, version in there.onnx.items()) or "no ONNX Runtime"
        package = PACKAGES[accelerator][0]
        remedy = f"install edged[{EXTRAS[package]}] there, instead of any other onnxruntime"
        return f"needs {package}: {there.who} has {has}; {remedy}"

    def versions(self, accelerator: str) -> str:
        """Name the packages that drive it, with their versions."""
        there = self._look(self.settings(accelerator).python)
        versions = [f"{name} {version}" for name, version in there.onnx.items()]
        versions += [f"tensorrt {there.tensorrt or 'unknown'}"] if accelerator == "tensorrt" else []
        return ", ".join(versions)

    def unready(self, bundle: Bundle, *, waits: bool = True) -> dict[tuple[str, str], str]:
        """Say by variant id and accelerator what cannot run yet, and why: since a package is not there or, with ``waits``, compiling."""
        return dict(self._unready(bundle, waits=waits))

    def idle(self) -> Iterator[Finding]:
        """Warn of accelerators that could be used and that no installed package drives."""
        for accelerator in self._inventory.accelerators:
            ways = [one for one in PACKAGES if ACCELERATOR_HARDWARE[one] == accelerator.kind]
            if accelerator.usable and ways and all(self.lacking(one) for one in ways):
                yield Finding("accelerator-idle", accelerator.evidence, f"{accelerator.name} {self.lacking(ways[0])}")

    def failed(self, key: Key, why: str) -> None:
        """Keep why it could not be compiled, and when it will be tried again."""
        self._failures[key] = why
        self.revision += 1

    def hindered(self, key: Key, why: str) -> None:
        """Keep what keeps it from being compiled for now; empty when nothing does any more."""
        before, self._hindered = self._hindered, (key, why) if why else None
        self.revision += before != self._hindered

    def changed(self, key: Key) -> None:
        """Take note that it is being compiled now, or was, or is no more."""
        self._failures.pop(key, None)
        self.revision += 1

    def _unready(self, bundle: Bundle, *, waits: bool) -> Iterator[tuple[tuple[str, str], str]]:
        for variant in bundle.manifest.variant:
            for accelerator in variant.accelerators if variant.runtime == "onnx" else ():
                if accelerator not in PACKAGES:
                    continue
                why = self.lacking(accelerator) or (self._uncompiled(variant, accelerator) if waits else "")
                if why:
                    yield (variant.id, accelerator), why

    def _uncompiled(self, variant: Variant, accelerator: str) -> str:
        if accelerator not in BUILT:
            return ""
        key = self.key(variant, accelerator)
        if self.cache.has(key):
            return ""
        if key in self._failures:
            return f"could not be compiled for {key.device}: {self._failures[key]}"
        begun = self.cache.begun(key)
        if begun is not None:
            return f"is being compiled for {key.device} since {rfc3339(int(begun * 1e9))}, while others serve"
        if self._hindered is not None and self._hindered[0] == key:
            return f"is not compiled for {key.device} yet: {self._hindered[1]}"
        return f"is not compiled for {key.device} yet; the daemon does that behind its pipelines"

    def _is_there(self, accelerator: str) -> bool:
        kind = ACCELERATOR_HARDWARE[accelerator]
        return kind is None or self._inventory.usable(kind)

    def _found(self, accelerator: str) -> Accelerator | None:
        kind = ACCELERATOR_HARDWARE.get(accelerator)
        return next((one for one in self._inventory.accelerators if one.kind == kind and one.usable), None)
