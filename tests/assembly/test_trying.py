"""A candidate is tried in a child that nothing can get out of: each bad end is a reason, and the daemon's process lives on."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from edged.assembly.box import survey
from edged.assembly.engines import Engines
from edged.assembly.trying import Budget, TrialResult, try_candidate, try_rung
from edged.assembly.uses import Use
from edged.config.share import shipped
from edged.domain.bundle import Bundle
from edged.domain.errors import DeviceError, RetryableError
from edged.domain.ports import Engine
from edged.domain.variant import Rung
from edged.update.manifest import read_bundle
from fakes.sensor import sensor_bundle
from fakes.strange import strange_bundle

pytestmark = pytest.mark.slow

LONG = Budget(memory_mb=400.0)


def tried(folder: Path, budget: Budget = LONG) -> tuple[TrialResult, bool]:
    bundle = read_bundle(folder)
    return try_rung(bundle, Rung(bundle.manifest.variant[0], "cpu", 1, "chosen", "under test"), budget)


@pytest.mark.parametrize("name", ["parts", "vibration"])
def test_a_shipped_model_passes_with_its_figures(name: str) -> None:
    result = try_candidate(read_bundle(shipped("models") / name), survey(Path("/"), "auto", ()))
    assert result.passed
    assert result.figures["p95_ms"] >= result.figures["p50_ms"] > 0
    assert 1 < result.figures["peak_memory_mb"] < 300
    assert result.figures["closed_off"] == 1.0


@pytest.mark.parametrize(
    ("how", "words", "opened"),
    [
        ({"opens": "os.kill(os.getpid(), signal.SIGSEGV)"}, "crashed with SIGSEGV in its trial", False),
        ({"opens": "os.kill(os.getpid(), signal.SIGILL)"}, "crashed with SIGILL in its trial", False),
        ({"infer": "self.calls > 20 and os.abort()"}, "crashed with SIGABRT in its trial", True),
        ({"infer": "answer[:] = np.nan if self.calls > 20 else answer"}, "output 0 holds numbers that are none", True),
        ({"infer": "self.kept.append(bytearray(os.urandom(200_000)))"}, "its memory grew by ", True),
        ({"infer": "socket.socket()"}, "Operation not permitted", True),
        ({"infer": "os.execv('/bin/true', ['true'])"}, "Operation not permitted", True),
    ],
)
def test_it_is_refused_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: dict[str, str], words: str, opened: bool
) -> None:
    """Cases 39 and 42 of the list that an update has to survive."""
    result, has_opened = tried(strange_bundle(tmp_path, monkeypatch, **how))
    assert words in result.reason
    assert has_opened == opened


def test_one_that_hangs_is_ended_at_its_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Case 40."""
    result, _ = tried(strange_bundle(tmp_path, monkeypatch, infer="time.sleep(600)"), Budget(deadline_s=4.0))
    assert result.reason == "did not end within 4 s"


def test_a_trial_ends_with_edged_and_says_nothing_of_the_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = strange_bundle(tmp_path, monkeypatch, infer="time.sleep(600)")
    with pytest.raises(RetryableError) as failed:
        try_candidate(read_bundle(folder), survey(Path("/"), "auto", ()), LONG, lambda: True)
    assert failed.value.code == "cancelled"


def test_one_that_takes_all_memory_is_ended_before_the_box_suffers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Case 41: it asks for 4 GB, in steps so that it is seen on the way."""
    eats = "[(self.kept.append(b'x' * 50_000_000), time.sleep(0.05)) for _ in range(80)]"
    result, _ = tried(strange_bundle(tmp_path, monkeypatch, infer=eats))
    assert result.reason.endswith("MB, expected at most 600 MB")


def test_golden_samples_that_it_does_not_reproduce_are_its_end(tmp_path: Path) -> None:
    """Case 42."""
    result, has_opened = tried(sensor_bundle(tmp_path / "level", golden=5.0))
    assert result.reason == "golden sample first.npy: the score is 4, expected 5"
    assert has_opened


def test_a_slow_one_misses_the_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result, _ = tried(strange_bundle(tmp_path, monkeypatch, infer="time.sleep(0.005)"), Budget(latency_ms=1.0))
    assert result.reason.startswith("p95 of its calls ")
    assert result.reason.endswith("expected at most 1.0 ms")


def test_a_box_without_the_runtime_is_no_fault_of_the_bundle(tmp_path: Path) -> None:
    folder = sensor_bundle(tmp_path / "level")
    file = folder / "model.toml"
    file.write_text(file.read_text("utf-8").replace('runtime = "tflite"', 'runtime = "absent"'), "utf-8")
    with pytest.raises(DeviceError):
        try_candidate(read_bundle(folder), survey(Path("/"), "auto", ()))


def two_variants(folder: Path, *, second_golden: float) -> Bundle:
    """Give a bundle with two variants of the same file, each with golden samples of its own."""
    sensor_bundle(folder)
    shutil.copytree(folder / "golden", folder / "golden-b")
    (folder / "golden-b" / "first.json").write_text(json.dumps({"anomaly": {"score": second_golden}}), "utf-8")
    file = folder / "model.toml"
    text = file.read_text("utf-8")
    second = text[text.index("[[variant]]") :].replace('"fp32"', '"second"', 1)
    golden = 'golden = { samples = "golden-b/", score_tolerance = 0.01 }\n'
    file.write_text(text + second + golden, "utf-8")
    return read_bundle(folder)


def test_a_variant_that_a_pipeline_pins_is_tried_as_well(tmp_path: Path) -> None:
    box = survey(Path("/"), "auto", ())
    bundle = two_variants(tmp_path / "level", second_golden=9.0)

    result = try_candidate(bundle, box, uses=(Use(), Use(pin="second")))

    assert result.reason == "golden sample first.npy: the score is 4, expected 9"
    assert try_candidate(bundle, box, uses=(Use(),)).passed


def test_uses_that_choose_the_same_rung_share_one_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[object] = []
    begin = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *args, **kwargs: (started.append(args), begin(*args, **kwargs))[1])
    bundle = read_bundle(sensor_bundle(tmp_path / "level"))

    assert try_candidate(bundle, survey(Path("/"), "auto", ()), uses=(Use(), Use(pin="fp32"))).passed

    assert len(started) == 1


def test_one_that_is_slower_than_a_pipeline_allows_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = read_bundle(strange_bundle(tmp_path, monkeypatch, infer="time.sleep(0.005)"))

    result = try_candidate(bundle, survey(Path("/"), "auto", ()), uses=(Use(latency_ms=1000.0), Use(latency_ms=1.0)))

    assert "expected at most 2.0 ms" in result.reason


class Apart(Engines):
    """Engines of which some would run in a sandbox, where nothing opens; notes what was opened in this process."""

    def __init__(self, *isolated: str) -> None:
        super().__init__()
        self.isolated, self.opened = isolated, list[str]()

    def isolates(self, rung: Rung) -> bool:
        return rung.variant.id in self.isolated

    def open(self, file: Path, rung: Rung) -> Engine:  # noqa: ARG002 - as Engines has it
        self.opened.append(rung.variant.id)
        message = "cannot open it: the accelerator is away"
        raise DeviceError(message)


def test_where_the_accelerator_does_not_open_it_the_next_rung_is_tried_in_a_child(tmp_path: Path) -> None:
    engines = Apart("fp32")
    box = replace(survey(Path("/"), "auto", ()), engines=engines)
    bundle = two_variants(tmp_path / "level", second_golden=4.0)

    result = try_candidate(bundle, box, uses=(Use(),))

    assert result.passed
    assert result.figures["closed_off"] == 1.0
    assert engines.opened == ["fp32"]


def test_where_the_box_can_open_none_the_bundle_is_not_to_blame(tmp_path: Path) -> None:
    box = replace(survey(Path("/"), "auto", ()), engines=Apart("fp32", "second"))

    with pytest.raises(DeviceError, match="fp32 on cpu: cannot open it: the accelerator is away"):
        try_candidate(two_variants(tmp_path / "level", second_golden=4.0), box)
