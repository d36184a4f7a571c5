"""What a model file says of itself: tensors, operators, how its weights are stored, and what its author wrote into it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edged.assembly.adapters import adapter
from edged.domain.bundle import Precision
from edged.domain.errors import ConfigError
from edged.domain.tensor import TensorSpec
from edged.update.manifest import sha256_of


@dataclass(frozen=True, slots=True)
class Written:
    """What the author wrote into a file; empty where nothing stands."""

    name: str = ""
    description: str = ""
    license: str = ""
    labels: tuple[str, ...] = ()
    color: str = ""
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    min_score: float | None = None
    texts: Mapping[str, str] = field(default_factory=dict)
    """All that stands there as names and values, as it stands."""


@dataclass(frozen=True, slots=True)
class Inside:
    """What is read from a file without running it."""

    precision: Precision
    operators: Mapping[str, int]
    """How often each stands in the graph."""
    last: tuple[str, ...]
    """The operators that write the outputs."""
    written: Written


@dataclass(frozen=True, slots=True)
class Facts:
    """One model file, opened by the runtime that will run it."""

    file: Path
    runtime: str
    size_bytes: int
    sha256: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    inside: Inside

    def document(self) -> dict[str, Any]:
        """Give what is shown of it."""
        return {
            "runtime": self.runtime,
            "bytes": self.size_bytes,
            "sha256": self.sha256,
            "precision": self.inside.precision,
            "operators": dict(self.inside.operators),
            "inputs": [tensor_document(spec) for spec in self.inputs],
            "outputs": [tensor_document(spec) for spec in self.outputs],
            "metadata": dict(self.inside.written.texts),
            "labels": len(self.inside.written.labels),
        }


@dataclass(frozen=True, slots=True)
class _Reader:
    runtime: str
    inside: str
    extra: str


_READERS = {
    ".tflite": _Reader("tflite", "edgectl.bundle.tflite_inside", "tflite"),
    ".onnx": _Reader("onnx", "edgectl.bundle.onnx_inside", "workshop"),
}


def read_facts(file: Path) -> Facts:
    """Read a file and open it with its runtime.

    Raises:
        ConfigError: It is absent, or its ending is none that is known.
        BundleError: It does not open here.
        DeviceError: What reads it is not installed.
    """
    reader = _READERS.get(file.suffix.lower())
    if reader is None or not file.is_file():
        seen = f"its ending is {file.suffix!r}" if reader is None else "there is no such file"
        message = f"cannot read model {file}: {seen}, expected a file {' or '.join(_READERS)}"
        raise ConfigError(message)
    engine = adapter(f"edged.engines.{reader.runtime}", reader.runtime).open_engine(file, threads=1)
    try:
        inputs, outputs = tuple(engine.inputs), tuple(engine.outputs)
    finally:
        engine.close()
    inside: Inside = adapter(reader.inside, reader.extra).read_inside(file)
    return Facts(file, reader.runtime, file.stat().st_size, sha256_of(file), inputs, outputs, inside)


def tensor_document(spec: TensorSpec) -> dict[str, Any]:
    """Give a tensor's name, shape (-1 is open), dtype, and quantisation where there is one."""
    quantization = spec.quantization
    told = {"scale": quantization.scale, "zero_point": quantization.zero_point} if quantization else None
    return {"name": spec.name, "shape": list(spec.shape), "dtype": spec.dtype, "quantization": told}
