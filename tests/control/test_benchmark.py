from __future__ import annotations

from dataclasses import replace

import pytest

from edged.control.benchmark import (
    LONGEST_RETRY_S,
    Candidate,
    Effort,
    Feel,
    Later,
    Refused,
    Run,
    Sample,
    Unfit,
    disturbed_share,
    hindrance,
    judge,
    merged,
    overdue,
    quantile,
    retry_after_s,
    sessions,
    summary,
    thread_counts,
    to_measure,
    to_repeat,
)
from edged.domain.figures import Figures, Measured, Subject

INT8 = Subject("a" * 64, "tflite", "2.3.0", "cpu", "generic")
FP32 = replace(INT8, sha256="b" * 64)
MS = 1_000_000


def figures(threads: int = 1, p50_ms: float = 2.0) -> Figures:
    return Figures(threads, 30, p50_ms, p50_ms + 1, p50_ms, 40.0, 12.0)


def measured(subject: Subject, *rows: Figures, at: str = "2026-01-01T00:00:00.000Z") -> Measured:
    return Measured(subject, rows, "here", at)


def candidate(variant: str, subject: Subject, threads: int = 1, place: int = 1, size_bytes: int = 100) -> Candidate:
    return Candidate(variant, subject, threads, place, size_bytes)


def sample(wall_ms: float, waited_ms: float = 0.0, cpu_ms: float | None = None) -> Sample:
    return Sample(int(wall_ms * MS), int((wall_ms if cpu_ms is None else cpu_ms) * MS), int(waited_ms * MS))


@pytest.mark.parametrize(
    ("allowed", "counts"),
    [(None, (1,)), (0.5, (1,)), (2.0, (1, 2)), (4.0, (1, 2, 3, 4)), (16.0, (1, 2, 3, 4, 8, 16))],
)
def test_few_threads_are_tried_one_by_one_and_many_in_two_leaps(allowed: float | None, counts: tuple[int, ...]) -> None:
    assert thread_counts(allowed) == counts


def test_the_chosen_rung_is_measured_first_and_small_files_before_large_ones() -> None:
    large = candidate("fp32", FP32, place=1, size_bytes=900)
    small = candidate("int8", INT8, place=2, size_bytes=300)
    chosen = candidate("fp16", replace(INT8, sha256="c" * 64), 2, place=0, size_bytes=1000)
    assert to_measure([large, small, chosen], (), ()) == (chosen, small, large)


def test_what_has_figures_is_not_measured_again_with_as_many_threads() -> None:
    one, two = candidate("int8", INT8, 1), candidate("int8", INT8, 2)
    assert to_measure([one, two], [measured(INT8, figures(threads=1))], ()) == (two,)


@pytest.mark.parametrize(
    "other", [replace(INT8, runtime_version="2.4.0"), replace(INT8, profile="raspberry-pi-5"), FP32]
)
def test_figures_of_another_file_runtime_or_kind_of_box_do_not_count(other: Subject) -> None:
    mine = candidate("int8", INT8)
    assert to_measure([mine], [measured(other, figures())], [Refused(other, None, "crashed", "")]) == (mine,)


def test_what_crashed_is_not_tried_again_whatever_the_threads() -> None:
    both = [candidate("int8", INT8, 1), candidate("int8", INT8, 2)]
    assert to_measure(both, (), [Refused(INT8, None, "crashed", "")]) == ()


def test_what_hung_is_tried_with_other_threads() -> None:
    one, two = candidate("int8", INT8, 1), candidate("int8", INT8, 2)
    assert to_measure([one, two], (), [Refused(INT8, 1, "hung", "")]) == (two,)


@pytest.mark.parametrize(
    ("felt", "words"),
    [
        (Feel(), ""),
        (Feel(throttled=False, under_voltage=False, memory_free_mb=4000), ""),
        (Feel(throttled=True), "the box is throttled"),
        (Feel(under_voltage=True), "the supply voltage is too low"),
        (Feel(memory_free_mb=95), "95 MiB of memory are free, expected 96 for a measurement"),
    ],
)
def test_a_box_that_is_held_back_or_short_of_memory_measures_nothing(felt: Feel, words: str) -> None:
    assert hindrance(felt) == words


def test_a_large_file_needs_more_memory() -> None:
    assert hindrance(Feel(memory_free_mb=130), 10 * 2**20) == (
        "130 MiB of memory are free, expected 136 for a measurement"
    )


def test_a_run_goes_on_until_it_has_both_calls_and_time() -> None:
    effort = Effort(min_runs=3, max_runs=10, measure_s=0.01)
    assert not effort.is_enough([sample(4.9)] * 2)
    assert not effort.is_enough([sample(3.0)] * 3)
    assert effort.is_enough([sample(4.0)] * 3)


def test_disturbed_calls_do_not_count_towards_the_calls() -> None:
    effort = Effort(min_runs=3, max_runs=10, measure_s=0.01)
    assert not effort.is_enough([sample(4.0)] * 2 + [sample(8.0, waited_ms=4.0)] * 2)


def test_a_run_ends_after_its_most_calls_or_when_the_network_is_too_slow() -> None:
    effort = Effort(min_runs=30, max_runs=50, measure_s=1.0, patience=5.0)
    assert effort.is_enough([sample(0.01)] * 50)
    assert effort.is_enough([sample(2500.0)] * 2)


def test_figures_are_of_the_undisturbed_calls_alone() -> None:
    calls = [sample(float(ms)) for ms in range(1, 101)] + [sample(500.0, waited_ms=400.0)] * 20
    got = judge(Run(tuple(calls), 55.512, 12.318), 1, Feel())
    assert got == Figures(
        threads=1, runs=100, p50_ms=50.0, p99_ms=99.0, cpu_ms=50.0, load_ms=55.51, peak_memory_mb=12.32
    )


def test_a_short_wait_is_no_disturbance_of_a_short_call() -> None:
    assert sample(0.1, waited_ms=0.05).is_clean
    assert not sample(0.1, waited_ms=0.06).is_clean
    assert sample(50.0, waited_ms=4.9).is_clean


def test_a_busy_box_gives_no_figures() -> None:
    calls = [sample(2.0)] * 9 + [sample(4.0, waited_ms=2.0)] * 90
    got = judge(Run(tuple(calls), 1.0, 1.0), 1, Feel())
    assert got == Later("the box is busy: 9 of 99 calls had the processors that they asked for")


def test_calls_on_several_threads_must_mostly_be_undisturbed() -> None:
    run = Run(tuple([sample(2.0)] * 40 + [sample(4.0, waited_ms=2.0)] * 60), 1.0, 1.0)
    assert isinstance(judge(run, 1, Feel()), Figures)
    assert isinstance(judge(run, 2, Feel()), Later)


def test_a_network_so_slow_that_it_ran_twice_has_figures() -> None:
    got = judge(Run((sample(9000.0), sample(9100.0)), 1.0, 1.0), 1, Feel())
    assert isinstance(got, Figures)
    assert (got.runs, got.p99_ms) == (2, 9100.0)


@pytest.mark.parametrize(
    ("felt", "words"),
    [
        (Feel(throttled=True), "the box is throttled since it began"),
        (Feel(under_voltage=True), "the supply voltage is too low since it began"),
    ],
)
def test_figures_of_a_box_that_was_held_back_meanwhile_are_not_kept(felt: Feel, words: str) -> None:
    assert judge(Run((sample(1.0),) * 40, 1.0, 1.0), 1, felt) == Later(words)


def test_no_calls_are_no_figures() -> None:
    assert isinstance(judge(Run((), 1.0, 1.0), 1, Feel()), Later)
    with pytest.raises(ValueError, match="cannot sum up a run of no calls, expected at least one"):
        summary(Run((), 1.0, 1.0), 1)


def test_a_summary_for_people_takes_disturbed_calls_where_there_are_no_others() -> None:
    calls = (sample(4.0, waited_ms=2.0, cpu_ms=2.0),) * 3
    got = summary(Run(calls, 1.0, 1.0), 1)
    assert (got.p50_ms, got.cpu_ms) == (4.0, 2.0)
    assert disturbed_share(calls) == 1.0
    assert disturbed_share(()) == 0.0


def test_a_quantile_is_the_smallest_value_that_so_many_are_at_or_below() -> None:
    values = [float(number) for number in range(1, 201)]
    assert [quantile(values, share) for share in (0.0, 0.5, 0.99, 1.0)] == [1.0, 100.0, 198.0, 200.0]


def test_of_each_number_of_threads_the_last_three_measurements_are_kept() -> None:
    before = [measured(FP32, figures()), measured(INT8, figures(1), *(figures(2, ms) for ms in (1.5, 1.6, 1.7)))]
    after = merged(before, measured(INT8, figures(2, 1.1), at="2026-02-01T00:00:00.000Z"))
    assert after == (
        measured(FP32, figures()),
        measured(INT8, figures(1), *(figures(2, ms) for ms in (1.6, 1.7, 1.1)), at="2026-02-01T00:00:00.000Z"),
    )


def test_the_chosen_file_is_measured_first_with_as_many_threads_as_it_runs_with() -> None:
    one, two = (replace(candidate("int8", INT8, count, place=0), is_usual=count == 2) for count in (1, 2))
    assert to_measure([one, two], (), ()) == (two, one)


def test_contenders_are_measured_in_turns_until_each_has_three_measurements() -> None:
    one, two, three = (candidate("int8", INT8, count) for count in (1, 2, 3))
    counts = sessions([measured(INT8, *[figures(1)] * 2, figures(2), *[figures(3)] * 3)])
    assert to_repeat([one, two, three], counts) == (two, one)


def test_what_has_no_figures_is_not_repeated() -> None:
    assert to_repeat([candidate("int8", INT8)], {}) == ()


def test_what_could_not_be_measured_is_left_alone_ever_longer_up_to_an_hour() -> None:
    assert [retry_after_s(tries) for tries in (1, 2, 3)] == [60.0, 120.0, 240.0]
    assert retry_after_s(100) == LONGEST_RETRY_S


def test_a_child_that_got_no_processor_did_not_hang() -> None:
    effort = Effort(deadline_s=60.0)
    assert overdue(40.0, 60.1, effort, "loading") == Later("the box is busy: loading waited 40 of 60 s for a processor")
    assert overdue(1.0, 60.1, effort, "a call") == Unfit("a call did not end within 60 s", any_threads=False)
    assert overdue(40.0, 59.9, effort, "loading") is None


def test_what_starves_is_not_waited_for_until_the_deadline() -> None:
    effort = Effort(deadline_s=60.0, starved_s=10.0)
    assert overdue(9.9, 30.0, effort, "loading") is None
    assert overdue(10.0, 30.0, effort, "loading") == Later("the box is busy: loading waited 10 of 30 s for a processor")
