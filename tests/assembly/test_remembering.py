from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from edged.assembly.box import survey
from edged.assembly.models import answering, open_best, try_bundle
from edged.domain.errors import BundleError
from edged.domain.frame import Frame
from edged.domain.result import Values
from edged.update.manifest import read_bundle
from fakes.modelfile import onnx_accumulator
from fakes.results import stamp

MANIFEST = """\
name = "sum"
version = "1.0.0"
task = "regression"
license = "Apache-2.0"

[input]
kind = "window"
length = 1
stride = 1
channels = 2

[output]
decoder = "regression"

[golden]
samples = "golden/"

[[variant]]
id = "fp32"
file = "sum.onnx"
sha256 = "{sha256}"
runtime = "onnx"
precision = "fp32"
layout = "flat"
"""
STATE = '\n[[state]]\noutput = "next"\ninput = "state"\n'
OF_THE_VARIANT = '\n[[variant.state]]\noutput = "next"\ninput = "state"\n'


def bundle(folder: Path, state: str) -> Path:
    (folder / "golden").mkdir(parents=True)
    content = onnx_accumulator()
    (folder / "sum.onnx").write_bytes(content)
    for name in ("one", "two"):
        np.save(folder / "golden" / f"{name}.npy", np.array([[1, 2]], np.float32))
        values = '{"values": [{"label": "0", "value": 1}, {"label": "1", "value": 2}]}'
        (folder / "golden" / f"{name}.json").write_text(values)
    (folder / "model.toml").write_text(MANIFEST.format(sha256=hashlib.sha256(content).hexdigest()) + state)
    return folder


@pytest.mark.parametrize("state", [STATE, OF_THE_VARIANT])
def test_a_bundle_whose_model_remembers_adds_up_and_passes_its_trial(tmp_path: Path, state: str) -> None:
    box = survey(Path("/"), "auto", ())
    read = read_bundle(bundle(tmp_path / "sum", state))
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
    read = read_bundle(bundle(tmp_path / "sum", ""))
    with pytest.raises(BundleError, match=r"cannot feed sum\.onnx: it has inputs x, state, expected one for the frame"):
        open_best(read, survey(Path("/"), "auto", ()))
