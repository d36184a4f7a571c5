from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edged.assembly.box import survey
from edged.assembly.models import answering, open_best, try_bundle
from edged.domain.errors import BundleError
from edged.domain.frame import Frame
from edged.domain.result import Values
from edged.update.manifest import read_bundle
from fakes.results import stamp
from fakes.sumbundle import OF_THE_VARIANT, STATE, sum_bundle


@pytest.mark.parametrize("state", [STATE, OF_THE_VARIANT])
def test_a_bundle_whose_model_remembers_adds_up_and_passes_its_trial(tmp_path: Path, state: str) -> None:
    box = survey(Path("/"), "auto", ())
    read = read_bundle(sum_bundle(tmp_path / "sum", state))
    assert try_bundle(read, box) is None
    opened = open_best(read, box)
    ask = answering(opened.model)
    frames = [Frame(np.array([[1, 2]], np.float32), stamp(now_s)) for now_s in (0.0, 1.0, 2.0)]
    answers = [ask(frame) for frame in frames]
    opened.model.engine.close()
    assert [[item.value for item in one.items] for one in answers if isinstance(one, Values)] == [
        [1, 2],
        [2, 4],
        [3, 6],
    ]


def test_a_file_of_two_inputs_needs_to_say_what_feeds_them(tmp_path: Path) -> None:
    read = read_bundle(sum_bundle(tmp_path / "sum", ""))
    with pytest.raises(BundleError, match=r"cannot feed sum\.onnx: it has inputs x, state, expected one for the frame"):
        open_best(read, survey(Path("/"), "auto", ()))
