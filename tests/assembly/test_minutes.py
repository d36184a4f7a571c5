"""What is counted of a model's minutes, and what is not."""

from __future__ import annotations

from edged.assembly.minutes import MINUTE_NS, WEIGHED, Felt, Minute, Stretch, counted, less, summed
from edged.telemetry.metrics import PipelineMetrics


def _metrics() -> PipelineMetrics:
    unknown = {
        "bundle": 2,
        "engine-lost": 1,
        "calibrating": 40,
        "source-lost": 5,
        "frame-invalid": 3,
        "samples-invalid": 2,
    }
    metrics = PipelineMetrics(results=63, unknown=53, suspect=4, unknown_by=unknown, told={"nut": 10})
    for _ in range(10):
        metrics.stages["total"].add(20.0)
    return metrics


def test_every_unknown_result_is_a_failure_but_those_of_the_source_and_of_learning() -> None:
    did = counted(_metrics())
    assert (did.results, did.failures, did.suspects, did.crashes) == (13, 3, 4, 1)


def test_what_came_since_is_the_difference() -> None:
    metrics = _metrics()
    before = counted(metrics)
    metrics.told["bolt"] = 7
    metrics.suspect += 2
    did = less(counted(metrics), before)
    assert (did.results, did.failures, did.suspects, did.told) == (7, 0, 2, {"bolt": 7})


def test_minutes_add_up() -> None:
    did = counted(_metrics())
    whole = summed([did, did])
    assert (whole.results, whole.failures, whole.suspects, whole.crashes, whole.told) == (26, 6, 8, 2, {"nut": 20})


def test_of_no_answers_no_time_is_known() -> None:
    assert Minute().quantile_ms(0.95) is None


def test_a_stretch_forgets_minutes_but_not_how_many_results_there_were() -> None:
    stretch = Stretch(0)
    for minute in range(1, 21):
        stretch.add(Minute(results=10), Felt(), minute * MINUTE_NS)
    assert (summed(stretch.minutes).results, stretch.results) == (150, 200)


def test_the_least_of_two_minutes_is_what_it_weighs() -> None:
    stretch = Stretch(0)
    stretch.add(Minute(), Felt(100.0, is_overheated=True), 1)
    assert stretch.felt == Felt(100.0, is_overheated=True)
    for look in range(WEIGHED):
        assert stretch.felt.memory_mb == 100.0
        stretch.add(Minute(), Felt(400.0), look)
    assert stretch.felt == Felt(400.0)


def test_what_cannot_be_weighed_weighs_nothing_known() -> None:
    stretch = Stretch(0)
    stretch.add(Minute(), Felt(None, silent_s=3.0), 1)
    assert stretch.felt == Felt(None, silent_s=3.0)
