"""A quantizer without any library: its files are the names of the layers that stayed in float."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class FakeQuantizer:
    """``noise`` gives each layer's share of noise in a file with nothing kept; every second operator is a layer."""

    runtime = "tflite"

    def __init__(self, noise: Mapping[str, float]) -> None:
        self._noise = noise

    @property
    def operators(self) -> tuple[str, ...]:
        return tuple(name for layer in self._noise for name in (layer, f"after-{layer}"))

    @property
    def layers(self) -> tuple[str, ...]:
        return tuple(self._noise)

    @property
    def others(self) -> tuple[str, ...]:
        return tuple(f"after-{layer}" for layer in self._noise)

    def int8(self, keep: Sequence[str]) -> bytes:
        return " ".join(keep).encode() or b"-"

    def errors(self, made: bytes) -> dict[str, float]:
        return dict(self._noise) if made == b"-" else {}
