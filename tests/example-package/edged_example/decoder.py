"""The highest value as an anomaly's score."""

from __future__ import annotations

from collections.abc import Sequence

from edged.domain.errors import BundleError
from edged.domain.frame import Frame
from edged.domain.result import Anomaly
from edged.domain.tensor import Array, TensorSpec
from edged.pipeline.postprocess.binding import Binding


def bind(binding: Binding) -> Peak:
    """Build the decoder for a model's tensors; what it cannot read is refused here, not at the first frame."""
    if binding.output.threshold is None:
        message = "cannot decode with 'peak' without a threshold, expected output.threshold in model.toml"
        raise BundleError(message)
    return Peak(binding.outputs[0], binding.output.threshold)


class Peak:
    """Holds no state between calls."""

    def __init__(self, spec: TensorSpec, threshold: float) -> None:
        self._spec = spec
        self._threshold = threshold

    def decode(self, outputs: Sequence[Array], inputs: Sequence[Array], frame: Frame) -> Anomaly:
        """Take the highest value of the first output."""
        del inputs, frame
        return Anomaly(float(self._spec.real(outputs[0]).max()), self._threshold)
