from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from edged.domain.errors import BundleError
from edged.domain.tensor import TensorSpec
from edged.pipeline.postprocess import registry
from edged.pipeline.postprocess.classification import Classifier
from fakes.binding import bound
from fakes.brought import bring

if TYPE_CHECKING:
    from pathlib import Path

SPEC = TensorSpec("y", (1, 3), "float32")


def test_a_decoder_is_found_by_its_name() -> None:
    assert isinstance(registry.bind(bound([SPEC], decoder="classification")), Classifier)


def test_an_unknown_decoder_is_refused_with_those_that_are_known() -> None:
    known = ", ".join(sorted(registry.DECODERS))
    with pytest.raises(
        BundleError, match=f"cannot decode with 'yolov99': there is no such decoder, expected one of {known}"
    ):
        registry.bind(bound([SPEC], decoder="yolov99"))


def test_an_installed_package_brings_a_decoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = bring(tmp_path, "edged.decoders", "owl", "def made(binding):\n    return binding.output.decoder\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert module not in sys.modules
    assert registry.bind(bound([SPEC], decoder="owl")) == "owl"
