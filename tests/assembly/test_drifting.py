from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from edged.assembly.box import survey
from edged.assembly.drift_files import DriftFiles, read_reference
from edged.assembly.drifting import FLUSH_ROWS, MOST_ROWS, Drifting
from edged.assembly.models import Opened, open_best
from edged.config.schema import Drift
from edged.domain.frame import Frame, Stamp
from edged.domain.result import Anomaly
from edged.fleet.schemas import AlertDocument
from edged.fleet.topics import Stamper
from edged.pipeline.drift_learning import Row, learn
from edged.pipeline.reference import Reference, to_bytes, with_about
from edged.update.manifest import read_bundle
from fakes.clock import FakeClock
from fakes.outbox import FakeOutbox
from fakes.sensor import picture_bundle
from fakes.streams import leaning
from fakes.waiting import until

EVERY_S = 10.0
MODEL = "still 1.0.0"


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    bundle = read_bundle(picture_bundle(tmp_path / "models" / "still"))
    made = open_best(bundle, survey(Path("/"), "auto", ()))
    yield made
    made.model.engine.close()


def levels(mean: float, seed: int, count: int = 400) -> list[int]:
    return [int(value) for value in np.clip(mean + 12 * leaning(count, 0.0, np.random.default_rng(seed)), 0, 255)]


@cache
def reference(model: str = MODEL) -> Reference:
    rows = []
    for k, (level, score) in enumerate(zip(levels(120, 1), levels(120, 2), strict=True)):
        rows.append(Row(EVERY_S * k, EVERY_S * k, {"input.luma": float(level), "output.score": score / 10}))
    learned = learn(rows)
    assert learned.reference is not None
    return with_about(learned.reference, model=model)


def frame(level: int, at_s: float) -> Frame:
    stamp = Stamp(int(at_s), int(at_s * 1e9), 1_800_000_000_000_000_000 + int(at_s * 1e9), at_s)
    return Frame(np.full((48, 64, 3), level, np.uint8), stamp)


class Bench:
    """A watch, and what it tells."""

    def __init__(self, state: Path, opened: Opened, room: int = 1000) -> None:
        self.outbox = FakeOutbox(room=room)
        self.clock = FakeClock()
        self.files = DriftFiles(state, "gate")
        self.watch = Drifting("gate", Drift(every_s=EVERY_S), state, self.outbox, Stamper("boot-1", self.clock))
        self.watch.runs(opened)
        self.at_s = 0.0

    def see(self, mean: float, count: int, scores: float = 120) -> None:
        for level, score in zip(levels(mean, 9, count), levels(scores, 10, count), strict=True):
            output = Anomaly(score / 10, 1.0)
            assert self.watch(output, frame(level, self.at_s)) is output
            self.at_s += EVERY_S

    def close(self) -> None:
        """Close it, and wait for what that has written down."""
        self.watch.close()
        writing = [thread for thread in threading.enumerate() if thread.name == "edged-drift-gate"]
        for thread in writing:
            thread.join(10.0)
            assert not thread.is_alive()

    def alerts(self) -> list[str]:
        return [str(body["code"]) for body in self.outbox.bodies("alert")]


def site(bench: Bench, model: str = MODEL) -> int:
    """Put a reference there; gives how many samples two of its longest windows take."""
    made = reference(model)
    bench.files.write_reference(made)
    return round(max(2 * one.window * one.interval_s / EVERY_S for one in made.features)) + 2


def test_without_a_reference_figures_are_kept_and_nothing_is_judged(tmp_path: Path, opened: Opened) -> None:
    bench = Bench(tmp_path, opened)
    bench.see(120, 45)
    bench.close()
    rows = list(bench.files.rows())
    assert (len(rows), rows[0][1]) == (45, MODEL)
    assert rows[0][0].traits.keys() == {"input.luma", "input.contrast", "input.blur", "input.noise", "output.score"}
    assert (bench.watch.reasons(), bench.alerts()) == ([], [])
    assert "no reference" in repr(bench.watch)


def test_frames_between_two_samples_cost_no_look(tmp_path: Path, opened: Opened) -> None:
    bench = Bench(tmp_path, opened)
    for tenth in range(1000):
        bench.watch(Anomaly(0.0, 1.0), frame(100, tenth / 10))
    bench.close()
    assert len(list(bench.files.rows())) == 10


def test_a_picture_that_becomes_dark_is_told_with_evidence_and_makes_the_pipeline_unwell(
    tmp_path: Path, opened: Opened
) -> None:
    bench = Bench(tmp_path, opened)
    samples = site(bench)
    bench.see(120, samples)
    assert bench.alerts() == []
    bench.see(60, samples)
    body = next(one for one in bench.outbox.bodies("alert") if one["evidence"]["feature"] == "input.luma")  # type: ignore[index] # JSON
    told = AlertDocument.model_validate({**body, "device": "press-07", "seq": 1})
    assert (told.code, told.component) == ("drift", "gate")
    assert told.evidence is not None
    assert told.evidence["stability"] > told.evidence["stability_limit"]
    assert "input.luma is no longer as its reference says" in told.message
    (reason,) = bench.watch.reasons()
    assert (reason.code, reason.component, reason.fatal) == ("drift", "gate", False)
    assert "input.luma" in reason.message


def test_when_it_is_as_before_that_is_told_too(tmp_path: Path, opened: Opened) -> None:
    bench = Bench(tmp_path, opened)
    samples = site(bench)
    bench.see(60, samples)
    bench.see(120, 3 * samples)
    codes = bench.alerts()
    assert codes.count("drift") == codes.count("drift-over") > 0
    assert bench.watch.reasons() == []


def test_it_goes_on_where_it_was_after_a_restart(tmp_path: Path, opened: Opened) -> None:
    before = Bench(tmp_path, opened)
    before.see(60, site(before))
    before.close()
    after = Bench(tmp_path, opened)
    after.see(60, 1)
    assert [reason.code for reason in after.watch.reasons()] == ["drift"]
    assert after.alerts() == []


def test_a_full_outbox_hears_of_it_later(tmp_path: Path, opened: Opened) -> None:
    bench = Bench(tmp_path, opened, room=0)
    bench.see(60, site(bench))
    assert bench.alerts() == []
    bench.outbox.room = 1000
    bench.see(60, 1)
    assert "drift" in bench.alerts()


def test_a_reference_that_comes_while_it_runs_is_taken_up_with_the_next_sample(tmp_path: Path, opened: Opened) -> None:
    bench = Bench(tmp_path, opened)
    bench.see(60, 5)
    bench.see(60, site(bench))
    assert "drift" in bench.alerts()


def test_of_a_reference_of_another_model_only_what_comes_in_is_watched(tmp_path: Path, opened: Opened) -> None:
    bench = Bench(tmp_path, opened)
    bench.see(60, site(bench, model="still 0.9.0"), scores=60)
    assert {one["evidence"]["feature"] for one in bench.outbox.bodies("alert")} == {"input.luma"}  # type: ignore[index] # JSON


def test_a_damaged_reference_is_said_to_be_one_and_nothing_else_suffers(tmp_path: Path, opened: Opened) -> None:
    bench = Bench(tmp_path, opened)
    bench.files.folder.mkdir()
    bench.files.reference.write_bytes(b"garbage")
    bench.see(60, 5)
    (reason,) = bench.watch.reasons()
    assert (reason.code, reason.component) == ("drift-reference", "gate")


def test_the_bundles_reference_counts_where_the_site_has_none(tmp_path: Path) -> None:
    folder = picture_bundle(tmp_path / "models" / "still")
    (folder / "drift.npz").write_bytes(to_bytes(reference()))
    text = (folder / "model.toml").read_text()
    (folder / "model.toml").write_text(text.replace("[[variant]]", '[drift]\nreference = "drift.npz"\n\n[[variant]]'))
    made = open_best(read_bundle(folder), survey(Path("/"), "auto", ()))
    bench = Bench(tmp_path, made)
    bench.see(60, 410)
    made.model.engine.close()
    assert "drift" in bench.alerts()


def test_what_it_keeps_is_written_beside_the_frames_way(tmp_path: Path, opened: Opened) -> None:
    bench = Bench(tmp_path, opened)
    site(bench)
    bench.see(120, FLUSH_ROWS)
    bench.close()
    kept = read_reference(bench.files.reference)
    assert kept is not None
    assert len(list(bench.files.rows())) == FLUSH_ROWS
    assert bench.files.read_state(kept)["input.luma"]["values"]


def test_another_variant_of_the_same_model_goes_on_with_the_same_windows(tmp_path: Path, opened: Opened) -> None:
    bench = Bench(tmp_path, opened)
    samples = site(bench)
    bench.see(60, samples // 2)
    ref = replace(opened.model.ref, variant="int8")
    bench.watch.runs(replace(opened, model=replace(opened.model, ref=ref)))
    bench.see(60, samples // 2 + 1)
    assert "drift" in bench.alerts()


def test_before_a_model_runs_nothing_is_sampled(tmp_path: Path) -> None:
    watch = Drifting("gate", Drift(), tmp_path, FakeOutbox(), Stamper("boot-1", FakeClock()))
    watch(Anomaly(0.0, 1.0), frame(10, 0.0))
    watch.close()
    assert not (tmp_path / "drift").exists()


def test_closing_waits_for_no_disk(tmp_path: Path, opened: Opened) -> None:
    bench = Bench(tmp_path, opened)
    bench.see(120, 5)
    bench.files.folder.mkdir()
    # Opening a pipe to write waits until somebody reads it, as a disk that hangs does.
    os.mkfifo(bench.files.history)
    before = threading.enumerate()

    bench.watch.close()

    assert [one.name for one in threading.enumerate() if one not in before] == ["edged-drift-gate"]
    told = bench.files.history.open("rb")
    with told:
        bench.close()
        assert told.read().count(b"\n") == 5


def test_while_the_disk_hangs_an_hour_is_held_and_one_thread_waits(tmp_path: Path, opened: Opened) -> None:
    bench = Bench(tmp_path, opened)
    bench.files.folder.mkdir()
    os.mkfifo(bench.files.history)
    before = threading.enumerate()
    bench.see(120, FLUSH_ROWS)
    until(lambda: not bench.watch._rows, "the first are being written")

    for _ in range(3):
        bench.see(120, MOST_ROWS // 2)
        bench.watch.close()

    assert [one.name for one in threading.enumerate() if one not in before] == ["edged-drift-gate"]
    lines: list[bytes] = []
    with bench.files.history.open("rb") as told:
        while len(lines) < FLUSH_ROWS + MOST_ROWS:
            lines += told.readlines()
        bench.close()
        assert told.read() == b""
    assert len(lines) == FLUSH_ROWS + MOST_ROWS
    assert json.loads(lines[-1])["source_s"] == bench.at_s - EVERY_S


def test_while_the_source_is_unwell_nothing_is_sampled_judged_or_kept(tmp_path: Path, opened: Opened) -> None:
    bench = Bench(tmp_path, opened)
    samples = site(bench)
    bench.see(120, 5)
    bench.watch.is_unwell = lambda: True  # type: ignore[method-assign] # as its owner sets it
    bench.see(3, samples)
    bench.watch.is_unwell = lambda: False  # type: ignore[method-assign] # as above
    bench.see(120, 5)
    bench.close()

    assert bench.alerts() == []
    assert len(list(bench.files.rows())) == 10
