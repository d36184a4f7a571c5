"""What a box remembers of how its models behave, and how a candidate is held against it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from edged.assembly.minutes import Felt
from edged.pipeline.line import Line
from edged.telemetry.metrics import PipelineMetrics
from fakes.probed import MENDED, NEW, NEXT, OLD, Site, file_of


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def _good(site: Site) -> None:
    site.sees(200)


@pytest.mark.parametrize(
    ("candidate", "what", "words"),
    [
        (_good, "commit", ""),
        (lambda site: site.sees(200, inference_ms=60.0), "roll-back", "p95 "),
        (lambda site: site.sees(200, is_anomaly=True), "roll-back", "100% of the frames tell something else"),
        (lambda site: site.sees(200, lost=2), "roll-back", "crashed 2 times in probation"),
        (lambda site: site.sees(200, lost=200, why="bundle"), "roll-back", "gave no answer to 200 of 200 frames"),
        (lambda site: site.sees(200, lost=200, why="deadline"), "roll-back", "gave no answer to 200 of 200 frames"),
        (lambda site: site.sees(200, suspect=200), "roll-back", "200 of 200 answers are suspect"),
        (lambda site: site.sees(200, lost=200, why="calibrating"), "watch", ""),
        (lambda site: site.sees(200, lost=200, why="frame-invalid"), "watch", ""),
        (lambda site: site.sees(300, lost=100, why="samples-invalid"), "commit", ""),
        (lambda site: site.sees(99), "watch", ""),
    ],
)
def test_a_candidate_is_held_against_what_the_version_before_did(
    site: Site, candidate: Callable[[Site], None], what: str, words: str
) -> None:
    site.sees(500)
    site.begins(NEW)
    candidate(site)
    told = site.verdict()
    assert told[0] == what
    assert told[1].startswith(words)


def test_what_was_before_is_remembered_over_a_crash(site: Site) -> None:
    site.sees(500)
    site.begins(NEW)
    site.sees(1)
    again = Site(site.state)
    again.begins(NEW)
    again.sees(200, is_anomaly=True)
    assert again.verdict()[1].startswith("100% of the frames tell something else")


def test_how_a_candidate_did_is_told_after_a_restart_too(site: Site) -> None:
    site.sees(500)
    site.begins(NEW)
    site.sees(200, inference_ms=25.0, lost=1)
    site.verdict()
    told = Site(site.state).probing.told("parts")
    assert told is not None
    assert told["version"] == "1.1.0"
    assert told["before"]["results"] == 500
    assert told["now"]["error_share"] == pytest.approx(1 / 200)
    assert told["now"]["p95_ms"] == pytest.approx(25.0, rel=0.13)


def test_nothing_is_told_of_a_model_that_had_no_candidate(site: Site) -> None:
    assert site.probing.told("parts") is None


def test_a_measure_that_cannot_be_read_is_none(site: Site) -> None:
    (site.state / "conduct").mkdir()
    (site.state / "conduct" / "parts.json").write_text("[]", "utf-8")
    site.begins(NEW)
    site.sees(200, is_anomaly=True)
    again = Site(site.state)
    again.begins(NEW)
    again.sees(200)
    assert again.verdict()[0] == "commit"


def test_only_the_last_quarter_of_an_hour_counts(site: Site) -> None:
    for _ in range(20):
        site.sees(10)
    assert site.probing.conduct("parts", OLD).results == 150


def test_a_scene_that_changes_by_itself_is_restless(site: Site) -> None:
    site.sees(100)
    site.sees(100, is_anomaly=True)
    assert site.probing.conduct("parts", OLD).unrest == 1.0


def test_what_the_box_feels_belongs_to_what_runs(site: Site) -> None:
    site.felt = Felt(170.0, is_overheated=True, silent_s=None)
    site.sees(10)
    conduct = site.probing.conduct("parts", OLD)
    assert (conduct.memory_mb, conduct.is_overheated, conduct.silent_s) == (170.0, True, None)


def test_counts_that_began_anew_are_no_negative_ones(site: Site) -> None:
    site.sees(100)
    site.pipeline = replace(site.pipeline, metrics=PipelineMetrics())
    site.lines[:] = [Line(site.lines[0].feed, [site.pipeline])]
    site.probing.tick()
    assert site.probing.conduct("parts", OLD).results == 100


def test_it_tells_whom_it_watches(site: Site) -> None:
    site.sees(1)
    assert repr(site.probing) == "<Probing parts 1.0.0>"


def test_a_pipeline_that_does_not_come_up_again_costs_the_candidate_its_place(site: Site) -> None:
    site.sees(200)
    site.begins(NEW)
    site.fails(121)
    assert site.verdict(121.0) == ("roll-back", "gate has been down for 121 s, expected it to run as before")


def test_it_does_so_after_a_restart_too(site: Site) -> None:
    site.sees(200)
    site.begins(NEW)
    again = Site(site.state)
    again.worker.steps, again.worker.state = None, "failed"
    again.probing.begins("parts", NEW, OLD, {file_of(NEW)})
    again.fails(121)
    assert again.verdict(121.0)[0] == "roll-back"


def test_a_pipeline_that_was_down_before_says_nothing_of_the_candidate(site: Site) -> None:
    site.fails(300)
    site.probing.begins("parts", NEW, OLD, {file_of(NEW)})
    site.fails(300)
    assert site.verdict(300.0) == ("watch", "")


def test_a_pipeline_that_was_set_to_another_model_says_nothing_of_the_candidate(site: Site) -> None:
    site.begins(NEW)
    site.models["gate"] = "bolts"
    site.fails(300)
    assert site.verdict(61.0) == ("commit", "no pipeline runs it")


def test_nothing_is_committed_while_a_pipeline_is_down(site: Site) -> None:
    site.sees(200)
    site.begins(NEW)
    site.sees(200)
    site.fails(30)
    assert site.verdict(91.0) == ("watch", "")


def test_what_no_pipeline_runs_is_committed_when_its_time_is_over(site: Site) -> None:
    site.models.clear()
    site.probing.begins("parts", NEW, OLD, {file_of(NEW)})
    assert site.verdict(61.0) == ("commit", "no pipeline runs it")


def test_a_dark_camera_does_not_hold_an_order_up_for_ever(site: Site) -> None:
    site.begins(NEW)
    assert site.verdict(4 * 3600.0) == ("commit", "0 of 100 results came within 14400 s: too few to tell")


def test_a_slow_source_has_enough_results_in_time(site: Site) -> None:
    site.sees(200)
    site.begins(NEW)
    for _ in range(20):
        site.sees(5)
    assert site.verdict(1200.0) == ("commit", "")


def test_what_was_rolled_back_and_is_ordered_again_is_judged_by_what_it_does_then(site: Site) -> None:
    site.sees(200)
    site.begins(NEW)
    site.sees(200, lost=50)
    assert site.verdict(5.0)[0] == "roll-back"
    site.runs(OLD)
    site.sees(300)
    site.begins(NEW)
    site.sees(2)
    assert site.verdict(61.0) == ("watch", "")


def test_what_an_earlier_probation_saw_commits_nothing(site: Site) -> None:
    site.sees(200)
    site.begins(NEW)
    site.sees(200)
    site.runs(OLD)
    site.sees(200)
    site.begins(NEW)
    assert site.verdict(61.0) == ("watch", "")


def test_a_mended_bundle_of_the_same_version_is_held_against_the_one_before(site: Site) -> None:
    site.begins(NEW)
    site.sees(500)
    site.begins(MENDED, NEW)
    site.sees(200, is_anomaly=True)
    assert site.verdict(61.0, MENDED)[1].startswith("100% of the frames tell something else")


def test_the_measure_that_is_kept_is_of_the_release_that_ran_before(site: Site) -> None:
    site.sees(500)
    site.begins(NEW)
    site.sees(200, is_anomaly=True)
    site.runs(OLD)
    site.sees(100)
    site.begins(NEXT)
    again = Site(site.state)
    again.begins(NEXT)
    again.sees(200)
    assert again.verdict(61.0, NEXT) == ("commit", "")
    told = again.probing.told("parts")
    assert told is not None
    assert told["before"]["results"] == 600


def test_a_measure_of_few_frames_does_not_take_the_place_of_one_that_tells_something(site: Site) -> None:
    site.sees(500)
    site.begins(NEW)
    again = Site(site.state)
    again.sees(3)
    again.begins(NEW)
    again.verdict()
    told = again.probing.told("parts")
    assert told is not None
    assert told["before"]["results"] == 500


def test_the_latest_measure_counts(site: Site) -> None:
    site.sees(500)
    site.begins(NEW)
    again = Site(site.state)
    again.sees(30)
    again.begins(NEW)
    again.verdict()
    told = again.probing.told("parts")
    assert told is not None
    assert told["before"]["results"] == 30


def test_a_measure_of_another_release_is_none(site: Site) -> None:
    site.sees(500)
    site.begins(NEW)
    again = Site(site.state)
    again.probing.begins("parts", NEXT, MENDED, {file_of(NEXT)})
    again.runs(NEXT)
    again.sees(200, is_anomaly=True)
    assert again.verdict(61.0, NEXT)[0] == "commit"


@pytest.mark.parametrize("is_first", [False, True])
def test_memory_says_nothing_while_another_model_is_in_probation_too(site: Site, is_first: bool) -> None:
    site.sees(200)
    if is_first:
        site.begins(NEXT, None, "bolts")
    site.begins(NEW)
    if not is_first:
        site.begins(NEXT, None, "bolts")
    site.felt = replace(site.felt, memory_mb=400.0)
    site.sees(50)
    assert site.verdict(5.0) == ("watch", "")


def test_memory_counts_once_the_other_probation_is_over(site: Site) -> None:
    site.begins(NEXT, None, "bolts")
    site.probing.over("bolts")
    site.sees(200)
    site.begins(NEW)
    site.felt = replace(site.felt, memory_mb=400.0)
    site.sees(50)
    assert site.verdict(5.0)[1].startswith("400 MB in service")


def test_what_weighs_for_a_moment_only_is_not_blamed(site: Site) -> None:
    site.sees(200)
    site.begins(NEW)
    site.sees(50)
    site.felt = replace(site.felt, memory_mb=400.0)
    site.sees(50)
    assert site.verdict(5.0) == ("watch", "")


def test_a_folder_that_is_gone_costs_the_note_alone(tmp_path: Path) -> None:
    site = Site(tmp_path / "gone")
    site.sees(200)
    site.begins(NEW)
    site.sees(200, lost=50)
    assert site.verdict(5.0)[0] == "roll-back"
