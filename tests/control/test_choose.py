from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.control.choose import ACCELERATOR_HARDWARE, Facts, choose
from edged.domain.variant import Ladder
from fakes.box import accelerator, bundle, inventory, profile, variant

INT8_FIRST = profile(
    {"accelerator": "edgetpu", "precision": "int8"},
    {"accelerator": "cpu", "runtime": "tflite", "precision": "int8", "threads": 3},
    {"accelerator": "cpu"},
)
TPU = variant("tpu", accelerators=["edgetpu"])
CPU_INT8 = variant("cpu-int8")
CPU_FP32 = variant("cpu-fp32", precision="fp32", runtime="onnx")


def told(ladder: Ladder) -> list[tuple[str, str]]:
    return [(rung.variant.id, rung.verdict) for rung in ladder.rungs]


def test_the_profiles_first_wish_that_can_run_is_chosen_and_the_others_stand_below_it() -> None:
    ladder = choose(bundle(CPU_FP32, CPU_INT8, TPU), INT8_FIRST, Facts(inventory(accelerator("edgetpu"))))
    assert told(ladder) == [("tpu", "chosen"), ("cpu-int8", "possible"), ("cpu-fp32", "possible")]


def test_each_rung_says_which_wish_it_comes_from_and_with_how_many_threads() -> None:
    ladder = choose(bundle(CPU_INT8, CPU_FP32), INT8_FIRST, Facts(inventory()))
    assert [(rung.reason, rung.threads) for rung in ladder.rungs] == [
        ("profile a-profile, wish 2: cpu, tflite, int8", 3),
        ("profile a-profile, wish 3: cpu", 2),
    ]


def test_a_variant_that_no_wish_names_is_possible_and_last() -> None:
    ladder = choose(
        bundle(CPU_FP32, CPU_INT8), profile({"accelerator": "cpu", "precision": "int8"}), Facts(inventory())
    )
    assert told(ladder) == [("cpu-int8", "chosen"), ("cpu-fp32", "possible")]
    assert ladder.rungs[1].reason == "profile a-profile has no wish for it"


def test_without_its_accelerator_a_variant_is_refused_with_what_was_found() -> None:
    broken = accelerator("edgetpu", usable=False, reason="the kernel module apex is not loaded")
    reasons = [choose(bundle(TPU), INT8_FIRST, Facts(box)).rungs[0].reason for box in (inventory(), inventory(broken))]
    assert reasons == [
        "needs edgetpu: no edgetpu found",
        "needs edgetpu: edgetpu is driver-missing: the kernel module apex is not loaded",
    ]


def test_an_accelerator_that_nobody_knows_is_named_with_those_that_are_known() -> None:
    reason = choose(bundle(variant("x", accelerators=["abacus"])), INT8_FIRST, Facts(inventory())).rungs[0].reason
    assert reason == f"needs the accelerator 'abacus', expected one of {', '.join(ACCELERATOR_HARDWARE)}"


def test_an_accelerator_that_this_version_does_not_drive_is_refused_on_this_machine() -> None:
    facts = Facts(inventory(accelerator("edgetpu")), engines={"cpu"})
    assert choose(bundle(TPU), INT8_FIRST, facts).rungs[0].reason == (
        "this version of edged drives no edgetpu, expected one of cpu"
    )


def test_a_runtime_that_is_not_installed_is_refused_with_the_command_that_installs_it() -> None:
    ladder = choose(bundle(CPU_INT8, CPU_FP32), INT8_FIRST, Facts(inventory(), runtimes={"onnx"}))
    assert told(ladder) == [("cpu-fp32", "chosen"), ("cpu-int8", "refused")]
    assert ladder.rungs[1].reason.endswith("run: pip install 'edged[tflite]'")


def test_a_runtime_that_no_package_brings_is_refused_with_those_that_edged_has() -> None:
    facts = Facts(inventory(), runtimes={"onnx"})
    assert choose(bundle(variant("x", runtime="owl")), INT8_FIRST, facts).rungs[0].reason == (
        "needs the runtime 'owl', which no installed package brings, expected that or one of onnx, tflite"
    )


def test_a_packages_runtime_may_drive_what_edged_does_not() -> None:
    facts = Facts(inventory(accelerator("hailo")), runtimes={"owl"}, engines={"cpu"})
    variants = bundle(variant("x", runtime="owl", accelerators=["hailo"]))
    assert told(choose(variants, INT8_FIRST, facts)) == [("x", "chosen")]


def test_a_file_with_a_fault_is_refused_before_anything_else_is_asked() -> None:
    ladder = choose(bundle(TPU), INT8_FIRST, Facts(inventory(), faults={"tpu": "it was altered"}))
    assert ladder.rungs[0].reason == "it was altered"


@pytest.mark.parametrize(
    ("operator", "accelerators", "reason"),
    [
        (
            "edgetpu-custom-op",
            ["cpu"],
            "its file was compiled for a Coral Edge TPU (custom operator 'edgetpu-custom-op') and cannot run on cpu",
        ),
        (
            "ethos-u",
            ["cpu"],
            "its file was compiled for an Arm Ethos-U NPU (custom operator 'ethos-u') and cannot run on cpu",
        ),
        ("fake-op", ["cpu"], "its file needs the custom operator 'fake-op', which no installed runtime brings"),
    ],
)
def test_a_file_that_was_compiled_for_other_hardware_is_refused(
    operator: str, accelerators: list[str], reason: str
) -> None:
    facts = Facts(inventory(), operators={"x": (operator,)})
    assert choose(bundle(variant("x", accelerators=accelerators)), INT8_FIRST, facts).rungs[0].reason == reason


def test_a_file_for_the_hardware_that_is_there_is_not_refused() -> None:
    facts = Facts(inventory(accelerator("edgetpu")), operators={"tpu": ("edgetpu-custom-op",)})
    assert told(choose(bundle(TPU), INT8_FIRST, facts)) == [("tpu", "chosen")]


def test_a_pinned_variant_is_chosen_and_all_others_are_refused() -> None:
    ladder = choose(bundle(CPU_INT8, CPU_FP32), INT8_FIRST, Facts(inventory()), pin="cpu-fp32")
    assert [(rung.variant.id, rung.reason) for rung in ladder.rungs] == [
        ("cpu-fp32", "pinned by the pipeline"),
        ("cpu-int8", "the pipeline pins variant 'cpu-fp32'"),
    ]


def test_a_variant_for_several_accelerators_has_a_rung_for_each() -> None:
    both = variant("both", accelerators=["cpu", "edgetpu"])
    ladder = choose(bundle(both), INT8_FIRST, Facts(inventory(accelerator("edgetpu"))))
    assert [rung.accelerator for rung in ladder.runnable] == ["edgetpu", "cpu"]


@pytest.mark.parametrize(("allowed", "threads"), [(None, 1), (0.5, 1), (2.0, 1), (4.0, 2), (7.9, 3)])
def test_without_a_wish_half_of_the_processors_are_used(allowed: float | None, threads: int) -> None:
    ladder = choose(bundle(CPU_FP32), profile({"accelerator": "edgetpu"}), Facts(inventory(allowed=allowed)))
    assert ladder.rungs[0].threads == threads


@pytest.mark.parametrize(("allowed", "threads"), [(None, 1), (1.5, 1), (2.0, 2), (8.0, 3)])
def test_a_wish_for_threads_is_kept_within_the_processors_that_are_allowed(allowed: float | None, threads: int) -> None:
    ladder = choose(bundle(CPU_INT8), INT8_FIRST, Facts(inventory(allowed=allowed)))
    assert ladder.rungs[0].threads == threads


@given(
    names=st.lists(st.sampled_from(["a", "b", "c", "d"]), unique=True, min_size=1),
    broken=st.sets(st.sampled_from(["a", "b", "c", "d"])),
)
def test_every_variant_gets_a_verdict_and_exactly_one_is_chosen_when_any_can_run(
    names: list[str], broken: set[str]
) -> None:
    ladder = choose(
        bundle(*(variant(name) for name in names)),
        INT8_FIRST,
        Facts(inventory(), faults=dict.fromkeys(broken, "it was altered")),
    )
    assert sorted(rung.variant.id for rung in ladder.rungs) == sorted(names)
    assert [rung.verdict for rung in ladder.runnable] == ["chosen", *["possible"] * (len(set(names) - broken) - 1)][
        : len(set(names) - broken)
    ]
    assert all(rung.reason for rung in ladder.rungs)
