"""Accelerators on the ladder: what they wait for, what drives them, and when one is tried that nobody measured."""

from __future__ import annotations

import pytest

from edged.control.choose import choose
from edged.control.possible import Facts
from edged.domain.figures import Figures
from edged.domain.variant import Ladder
from fakes.box import accelerator, bundle, inventory, profile, variant

GPU = variant("gpu", runtime="onnx", precision="fp16", accelerators=["tensorrt"])
TPU = variant("tpu", accelerators=["edgetpu"])
CPU = variant("cpu")
WISHES = profile({"accelerator": "tensorrt"}, {"accelerator": "edgetpu"}, {"accelerator": "cpu", "threads": 1})
BOX = inventory(accelerator("nvidia-gpu"), accelerator("edgetpu"))
MEASURED = {("cpu", "cpu"): (Figures(1, 30, 5.0, 6.0, 5.0, 10.0, 20.0),)}


def ids(ladder: Ladder) -> list[str]:
    return [rung.variant.id for rung in ladder.runnable]


def test_what_waits_for_its_package_or_its_compiler_is_refused_with_those_words() -> None:
    facts = Facts(BOX, unready={("gpu", "tensorrt"): "is being compiled"})
    ladder = choose(bundle(GPU, CPU), WISHES, facts)
    assert ids(ladder) == ["cpu"]
    assert ladder.rungs[-1].reason == "is being compiled"


@pytest.mark.parametrize(("runtime", "name", "driver"), [("tflite", "tensorrt", "onnx"), ("onnx", "edgetpu", "tflite")])
def test_a_file_that_is_not_for_the_accelerators_runtime_is_refused(runtime: str, name: str, driver: str) -> None:
    ladder = choose(bundle(variant("x", runtime=runtime, accelerators=[name])), WISHES, Facts(BOX))
    assert ladder.rungs[0].reason == f"{name} runs models of the runtime '{driver}', and this file is for '{runtime}'"


def test_a_runtime_that_only_the_accelerators_own_interpreter_has_is_enough() -> None:
    facts = Facts(BOX, runtimes={"tflite"}, elsewhere=["tensorrt"])
    assert ids(choose(bundle(GPU, CPU), WISHES, facts)) == ["gpu", "cpu"]
    assert ids(choose(bundle(GPU, CPU), WISHES, Facts(BOX, runtimes={"tflite"}))) == ["cpu"]


def test_an_accelerator_that_came_later_and_was_never_measured_is_tried_before_what_was() -> None:
    ladder = choose(bundle(CPU, TPU), WISHES, Facts(BOX, figures=MEASURED))
    assert ids(ladder) == ["tpu", "cpu"]


def test_it_does_not_take_the_place_of_what_runs() -> None:
    ladder = choose(bundle(CPU, TPU), WISHES, Facts(BOX, figures=MEASURED, running=("cpu", "cpu", 1)))
    assert ids(ladder)[0] == "cpu"


def test_one_that_the_profile_wishes_for_later_or_not_at_all_waits_behind() -> None:
    for wishes in (profile({"accelerator": "cpu"}, {"accelerator": "edgetpu"}), profile({"accelerator": "cpu"})):
        assert ids(choose(bundle(CPU, TPU), wishes, Facts(BOX, figures=MEASURED))) == ["cpu", "tpu"]


def test_one_that_was_measured_has_the_place_that_its_figures_give_it() -> None:
    slower = {**MEASURED, ("tpu", "edgetpu"): (Figures(1, 30, 50.0, 60.0, 5.0, 10.0, 20.0),)}
    assert ids(choose(bundle(CPU, TPU), WISHES, Facts(BOX, figures=slower)))[0] == "cpu"
