from __future__ import annotations

import numpy as np
import pytest

from edged.domain.bundle import WindowInput
from edged.domain.errors import BundleError, EngineLostError
from edged.domain.result import Value
from edged.domain.tensor import Quantization, TensorSpec
from edged.pipeline.postprocess import regression
from fakes.binding import bound, picture

WINDOW = WindowInput(kind="window", length=1, stride=1, channels=1)


def test_each_number_is_named_in_the_files_order() -> None:
    specs = [TensorSpec("a", (1, 2), "float32"), TensorSpec("b", (), "int8", Quantization(0.5, -2))]
    decoder = regression.bind(
        bound(specs, decoder="regression", model_input=WINDOW, labels=("speed", "torque", "wear"))
    )
    got = decoder.decode([np.array([[1.5, -2.0]], np.float32), np.array(4, np.int8)], [], picture())
    assert got.items == (Value("speed", 1.5), Value("torque", -2.0), Value("wear", 3.0))


def test_without_labels_values_are_called_by_their_number() -> None:
    decoder = regression.bind(bound([TensorSpec("a", (-1, 1), "float32")], decoder="regression"))
    assert decoder.decode([np.array([[0.5]], np.float32)], [], picture()).items == (Value("0", 0.5),)


@pytest.mark.parametrize("shapes", [[], [(1, 1001)], [(1, 0)], [(1, -1)]])
def test_outputs_that_are_no_values_are_refused(shapes: list[tuple[int, ...]]) -> None:
    specs = [TensorSpec("y", shape, "float32") for shape in shapes]
    with pytest.raises(BundleError, match="expected outputs of fixed shapes"):
        regression.bind(bound(specs, decoder="regression"))


def test_labels_that_are_not_as_many_are_refused() -> None:
    with pytest.raises(BundleError, match="2 classes: the label file holds 1 lines"):
        regression.bind(bound([TensorSpec("y", (1, 2), "float32")], decoder="regression", labels=("only",)))


def test_a_value_that_is_no_number_is_the_engines_fault() -> None:
    decoder = regression.bind(bound([TensorSpec("y", (1, 2), "float32")], decoder="regression"))
    with pytest.raises(EngineLostError, match="some are no numbers"):
        decoder.decode([np.array([[1.0, np.inf]], np.float32)], [], picture())
