from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.config.schema import Objective
from edged.control.choose import choose
from edged.control.possible import ACCELERATOR_HARDWARE, Facts
from edged.domain.figures import Figures
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


def row(threads: int = 1, p99_ms: float = 10.0, *, memory_mb: float = 20.0) -> Figures:
    return Figures(threads, 100, p99_ms, p99_ms, p99_ms * threads, 5.0, memory_mb)


def test_what_is_not_measured_stands_behind_what_is_in_the_profiles_order() -> None:
    facts = Facts(inventory(), figures={("cpu-fp32", "cpu"): (row(),)})
    ladder = choose(bundle(variant("b"), CPU_INT8, CPU_FP32), INT8_FIRST, facts)
    assert told(ladder) == [("cpu-fp32", "chosen"), ("b", "possible"), ("cpu-int8", "possible")]
    assert [rung.reason for rung in ladder.rungs] == [
        "the fastest of the most accurate: fp32, p50 10 ms, memory 20 MiB",
        "not measured here yet; profile a-profile, wish 2: cpu, tflite, int8",
        "not measured here yet; profile a-profile, wish 2: cpu, tflite, int8",
    ]


def test_each_measured_number_of_threads_that_the_box_allows_is_a_rung() -> None:
    facts = Facts(inventory(allowed=2.5), figures={("cpu-int8", "cpu"): (row(1, 40), row(2, 25), row(3, 20))})
    ladder = choose(bundle(CPU_INT8), INT8_FIRST, facts)
    assert [(rung.threads, rung.reason) for rung in ladder.rungs] == [
        (2, "the fastest of the most accurate: int8, p50 25 ms, memory 20 MiB"),
        (1, "slower than cpu-int8 on cpu with 2 threads: p50 40 ms against 25 ms"),
    ]


def test_the_objective_alone_changes_which_variant_runs() -> None:
    facts = Facts(inventory(), figures={("cpu-int8", "cpu"): (row(p99_ms=8),), ("cpu-fp32", "cpu"): (row(p99_ms=30),)})
    fast, slow = (
        choose(bundle(CPU_INT8, CPU_FP32), INT8_FIRST, facts, objective=Objective(latency_ms=ms)).rungs[0]
        for ms in (20, 40)
    )
    assert (fast.variant.id, slow.variant.id) == ("cpu-int8", "cpu-fp32")
    assert fast.reason == "the fastest of the most accurate that meets the objective: int8, latency 8 of 20 ms"


def test_a_dominated_variant_says_by_which_with_the_figures_of_both() -> None:
    facts = Facts(inventory(), figures={("a", "cpu"): (row(p99_ms=8),), ("b", "cpu"): (row(p99_ms=9, memory_mb=25),)})
    ladder = choose(bundle(variant("b"), variant("a")), INT8_FIRST, facts)
    assert [(rung.variant.id, rung.verdict, rung.standing) for rung in ladder.rungs] == [
        ("a", "chosen", "meets"),
        ("b", "possible", "dominated"),
    ]
    assert ladder.rungs[1].reason == (
        "dominated by a on cpu with 1 thread: int8 against int8, p99 9 ms against 8 ms, p50 9 ms against 8 ms, "
        "cpu 9 ms against 8 ms, memory 25 MiB against 20 MiB"
    )


def test_a_dominated_number_of_threads_is_told_only_where_nothing_else_is_left_of_its_file() -> None:
    worse = row(2, 11, memory_mb=25)
    facts = Facts(inventory(), figures={("a", "cpu"): (row(), worse), ("b", "cpu"): (row(1, 12), row(2, 13))})
    ladder = choose(bundle(variant("a"), variant("b")), profile({"accelerator": "cpu"}), facts)
    dominated = [rung.identity for rung in ladder.rungs if rung.standing == "dominated"]
    assert dominated == [("a", "cpu", 2), ("b", "cpu", 1), ("b", "cpu", 2)]
    assert [rung.identity for rung in ladder.told] == [("a", "cpu", 1), ("b", "cpu", 1)]


def test_what_has_no_room_is_refused_while_something_fits() -> None:
    facts = Facts(
        inventory(),
        figures={("cpu-int8", "cpu"): (row(memory_mb=40),), ("cpu-fp32", "cpu"): (row(memory_mb=90),)},
        budget_mb=50,
    )
    ladder = choose(bundle(CPU_INT8, CPU_FP32), INT8_FIRST, facts)
    assert told(ladder) == [("cpu-int8", "chosen"), ("cpu-fp32", "refused")]
    assert ladder.rungs[1].reason == "needs more memory than there is: memory 90 of 50 MiB"


def test_where_nothing_fits_the_smallest_runs_and_says_so() -> None:
    facts = Facts(
        inventory(),
        figures={("cpu-int8", "cpu"): (row(memory_mb=40),), ("cpu-fp32", "cpu"): (row(memory_mb=90),)},
        budget_mb=30,
    )
    ladder = choose(bundle(CPU_INT8, CPU_FP32), INT8_FIRST, facts)
    assert told(ladder) == [("cpu-int8", "chosen"), ("cpu-fp32", "refused")]
    assert ladder.unmet == (
        "cannot meet accuracy: cpu-int8 on cpu with 1 thread comes nearest, with memory 40 of 30 MiB"
    )


def short_of_memory(**sizes: int) -> Ladder:
    """Give the ladder of a box on which the measured int8 variant does not fit; the others are not measured."""
    facts = Facts(inventory(), sizes=sizes, figures={("int8", "cpu"): (row(memory_mb=40),)}, budget_mb=30)
    return choose(bundle(variant("fp32", precision="fp32"), variant("int8")), INT8_FIRST, facts)


@pytest.mark.parametrize("sizes", [{}, {"int8": 100, "fp32": 400}, {"int8": 100, "fp32": 100}])
def test_short_of_memory_a_measured_rung_does_not_give_way_to_one_that_may_be_larger(sizes: dict[str, int]) -> None:
    ladder = short_of_memory(**sizes)
    assert [(rung.variant.id, rung.standing) for rung in ladder.rungs] == [("int8", "misses"), ("fp32", "unmeasured")]
    assert "memory 40 of 30 MiB" in ladder.unmet


def test_before_what_is_known_to_be_too_large_runs_a_smaller_file_that_nobody_measured() -> None:
    ladder = short_of_memory(int8=400, fp32=100)
    assert [(rung.variant.id, rung.standing) for rung in ladder.rungs] == [("fp32", "unmeasured"), ("int8", "misses")]
    assert ladder.unmet == ""


def test_an_accelerator_that_nobody_has_tried_is_told_once_when_its_file_is_smaller_too() -> None:
    facts = Facts(
        inventory(accelerator("edgetpu")),
        sizes={"tpu": 100, "cpu-int8": 400},
        figures={("cpu-int8", "cpu"): (row(memory_mb=40),)},
        budget_mb=30,
    )
    ladder = choose(bundle(TPU, CPU_INT8), INT8_FIRST, facts)
    assert [rung.variant.id for rung in ladder.rungs] == ["tpu", "cpu-int8"]


def test_what_runs_unmeasured_stays_on_the_ladder_when_another_number_of_threads_is_measured() -> None:
    running = ("cpu-int8", "cpu", 3)
    facts = Facts(inventory(), figures={("cpu-int8", "cpu"): (row(),)}, running=running)
    ladder = choose(bundle(CPU_INT8), INT8_FIRST, facts)
    assert [rung.identity for rung in ladder.rungs] == [running, ("cpu-int8", "cpu", 1)]
    assert ladder.rungs[0].reason.startswith("runs, and is not measured yet; ")


def test_it_does_not_give_way_either_to_a_lesser_variant_behind_its_own_file() -> None:
    running = ("cpu-int8", "cpu", 3)
    figures = {("cpu-int8", "cpu"): (row(p99_ms=10),), ("other", "cpu"): (row(p99_ms=20),)}
    ladder = choose(
        bundle(CPU_INT8, variant("other")), INT8_FIRST, Facts(inventory(), figures=figures, running=running)
    )
    assert [rung.identity for rung in ladder.rungs[:2]] == [running, ("cpu-int8", "cpu", 1)]


def test_what_runs_with_a_number_of_threads_that_nobody_wishes_any_more_stays_while_nothing_is_measured() -> None:
    facts = Facts(inventory(), running=("cpu-int8", "cpu", 4))
    assert choose(bundle(CPU_INT8), INT8_FIRST, facts).rungs[0].threads == 4


@pytest.mark.parametrize(("threads", "stays"), [(3, False), (4, True), (5, False)])
def test_what_runs_is_let_go_when_it_hung_when_measured_or_the_box_allows_fewer(threads: int, *, stays: bool) -> None:
    facts = Facts(
        inventory(allowed=4),
        unfit={("cpu-int8", "cpu", 3): "a call did not end"},
        figures={("cpu-int8", "cpu"): (row(),)},
        running=("cpu-int8", "cpu", threads),
    )
    identities = [rung.identity for rung in choose(bundle(CPU_INT8), INT8_FIRST, facts).rungs]
    assert (("cpu-int8", "cpu", threads) in identities) == stays


def test_a_hang_with_the_usual_number_of_threads_takes_the_next_one() -> None:
    facts = Facts(inventory(allowed=4), unfit={("cpu-int8", "cpu", 3): "a call did not end"})
    (rung,) = choose(bundle(CPU_INT8), INT8_FIRST, facts).rungs
    assert (rung.threads, rung.verdict) == (2, "chosen")


def test_figures_of_a_number_of_threads_that_hung_do_not_count() -> None:
    facts = Facts(
        inventory(),
        unfit={("cpu-int8", "cpu", 2): "a call did not end"},
        figures={("cpu-int8", "cpu"): (row(1, 40), row(2, 20))},
    )
    assert [rung.threads for rung in choose(bundle(CPU_INT8), INT8_FIRST, facts).rungs] == [1]


def test_what_hung_with_every_number_of_threads_is_refused() -> None:
    facts = Facts(inventory(allowed=2), unfit={("cpu-int8", "cpu", count): "a call did not end" for count in (1, 2)})
    (rung,) = choose(bundle(CPU_INT8), INT8_FIRST, facts).rungs
    assert (rung.verdict, rung.reason) == (
        "refused",
        "cannot run here, as its measurement showed: a call did not end",
    )


def test_what_is_not_met_says_how_much_is_not_measured_yet() -> None:
    facts = Facts(inventory(), figures={("cpu-int8", "cpu"): (row(p99_ms=30),)})
    ladder = choose(bundle(CPU_INT8, CPU_FP32), INT8_FIRST, facts, objective=Objective(latency_ms=20, fps=50))
    assert told(ladder) == [("cpu-int8", "chosen"), ("cpu-fp32", "possible")]
    assert ladder.unmet == (
        "cannot meet accuracy within 20 ms at 50 frames/s: cpu-int8 on cpu with 1 thread comes nearest, "
        "with latency 30 of 20 ms, a frame 30 of 20 ms; not measured yet: 1 more"
    )


def test_a_pinned_variant_runs_whatever_its_figures_say_and_they_are_told() -> None:
    figures = {("cpu-int8", "cpu"): (row(p99_ms=8),), ("cpu-fp32", "cpu"): (row(p99_ms=30),)}
    facts = Facts(inventory(), figures=figures)
    ladder = choose(bundle(CPU_INT8, CPU_FP32), INT8_FIRST, facts, "cpu-fp32", Objective(latency_ms=20))
    assert told(ladder) == [("cpu-fp32", "chosen"), ("cpu-int8", "refused")]
    assert ladder.rungs[0].reason == (
        "pinned by the pipeline; the nearest to the objective, which it misses: latency 30 of 20 ms"
    )
    assert ladder.unmet


def test_what_crashed_when_it_was_measured_is_refused() -> None:
    facts = Facts(inventory(), unfit={("cpu-int8", "cpu", None): "loading crashed with SIGSEGV"})
    ladder = choose(bundle(CPU_INT8, CPU_FP32), INT8_FIRST, facts)
    assert told(ladder) == [("cpu-fp32", "chosen"), ("cpu-int8", "refused")]
    assert ladder.rungs[1].reason == "cannot run here, as its measurement showed: loading crashed with SIGSEGV"
