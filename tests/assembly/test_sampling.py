"""A second of the flight recorder: columns out of what Prometheus is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edged.assembly.sampling import MAX_NAMES, Sampler
from edged.assembly.scraping import Scene
from edged.domain.result import Anomaly, Latency, Result
from edged.fleet.outbox import Outbox
from edged.hardware.process import Usage
from edged.hardware.readings import read
from edged.pipeline.feed import Feed
from edged.pipeline.line import Line, Pipeline
from edged.pipeline.mailbox import Mailbox
from edged.pipeline.worker import Worker
from edged.telemetry.metrics import PipelineMetrics
from fakes.clock import FakeClock
from fakes.levers import FakeLevers
from fakes.results import MODEL, stamp


def line(name: str, metrics: PipelineMetrics) -> Line:
    clock, mailbox = FakeClock(), Mailbox(name)
    mailbox.drop("newer")
    worker = Worker(name, lambda: pytest.fail("is not built"), clock)
    levers = FakeLevers(stands={"rate": 2})
    feed = Feed("dock", lambda: pytest.fail("is not opened"), clock)
    return Line(feed, [Pipeline(name, worker, mailbox, metrics, lambda: None, levers=levers)])


class Stage:
    """A box of one pipeline whose frames a test counts."""

    def __init__(self, root: Path) -> None:
        self.metrics, clock = PipelineMetrics(), FakeClock()
        outbox = Outbox.open(root / "outbox.sqlite3", device="a", clock=clock, max_bytes=1 << 20, boot_id="b")
        stats = outbox.stats()
        outbox.close()
        self.scene = Scene(
            version="1.0.0",
            lines=(line("gate", self.metrics),),
            outbox=stats,
            is_online=True,
            grade="degraded",
            readings=read(root),
            usage=Usage(memory_mb=100.0),
            accelerators=(),
            generation=1,
            up_s=60.25,
            felt={"level": "pressed"},
        )
        self.sampler = Sampler(lambda: self.scene)

    def judge(self, frames: int, age_ms: float) -> None:
        for number in range(frames):
            latency = Latency(age_ms, 2.0, 30.0, 0.5)
            self.metrics.result(Result("gate", stamp(0.0, number), MODEL, "ok", latency, Anomaly(1.0, 2.0)))


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_every_figure_that_is_known_is_a_column(stage: Stage) -> None:
    stage.judge(10, 1.0)
    told = stage.sampler()
    assert told['edged_results_total{pipeline="gate",status="ok"}'] == 10
    assert told['edged_frames_dropped_total{pipeline="gate",reason="newer"}'] == 1
    assert told['edged_governor_steps{pipeline="gate",kind="rate"}'] == 2
    assert told["edged_pressure_level"] == 2
    assert told["edged_spool_depth"] == 0
    assert told["edged_process_resident_bytes"] == 100 * 2**20
    assert "edged_throttled" not in told, "nothing is known of it"


def test_of_a_histogram_count_and_sum_are_kept(stage: Stage) -> None:
    stage.judge(10, 1.0)
    told = stage.sampler()
    assert told['edged_inference_duration_seconds_count{pipeline="gate",stage="inference"}'] == 10
    assert told['edged_inference_duration_seconds_sum{pipeline="gate",stage="inference"}'] == pytest.approx(0.3)
    assert not any("_bucket" in name for name in told)


def test_what_most_frames_stayed_below_is_of_the_last_seconds(stage: Stage) -> None:
    assert 'edged_age_p95_seconds{pipeline="gate"}' not in stage.sampler()
    stage.judge(10, 5.0)
    told = stage.sampler()
    assert told['edged_age_p95_seconds{pipeline="gate"}'] == pytest.approx(0.005, rel=0.07)
    assert told['edged_frame_p95_seconds{pipeline="gate"}'] == pytest.approx(0.0375, rel=0.07)
    for _ in range(11):
        told = stage.sampler()
    assert 'edged_age_p95_seconds{pipeline="gate"}' not in told, "no frame came for ten seconds"


def test_a_pipeline_that_was_set_up_anew_counts_from_zero(stage: Stage) -> None:
    stage.judge(100, 5.0)
    stage.sampler()
    stage.metrics = PipelineMetrics()
    stage.scene = replace(stage.scene, lines=(line("gate", stage.metrics),))
    stage.sampler()
    stage.judge(10, 50.0)
    assert stage.sampler()['edged_age_p95_seconds{pipeline="gate"}'] == pytest.approx(0.05, rel=0.07)


def test_names_are_bounded_whatever_comes_and_goes(stage: Stage) -> None:
    for number in range(MAX_NAMES + 10):
        stage.scene = replace(stage.scene, version=str(number))
        told = stage.sampler()
    assert told[f'edged_info{{version="{MAX_NAMES + 9}"}}'] == 1
    assert max(len(names) for names in stage.sampler._names.values()) <= MAX_NAMES + 1
