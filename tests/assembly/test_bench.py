"""A real child on real runtimes, and children that end in every other way."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import psutil
import pytest

from edged.assembly.bench import measure
from edged.assembly.candidate import Order
from edged.control.benchmark import Effort, Later, Outcome, Run, Unfit
from edged.update.manifest import sha256_of
from fakes.sensor import sensor_bundle
from fakes.strange import strange_bundle
from fakes.waiting import until

pytestmark = pytest.mark.slow

SHORT = Effort(warmup_runs=1, min_runs=5, max_runs=20, measure_s=0.01, burst_ms=5.0)


def go_on(_busy_s: float) -> bool:
    return True


def order(folder: Path, *, polite: bool = False) -> Order:
    return Order(str(folder), "fp32", "cpu", 1, warmup_runs=1, polite=polite)


@pytest.mark.parametrize("runtime", ["tflite", "onnx"])
@pytest.mark.parametrize("polite", [False, True])
def test_a_child_measures_what_the_runtime_does(tmp_path: Path, runtime: str, polite: bool) -> None:
    got = measure(order(sensor_bundle(tmp_path / "level", runtime=runtime), polite=polite), SHORT, go_on)
    assert isinstance(got, Run), got
    assert len(got.samples) >= 5
    assert all(0 < sample.wall_ns < 5e9 for sample in got.samples)
    assert got.load_ms > 0
    assert 1 < got.peak_memory_mb < 300


def test_a_model_is_asked_whether_there_may_be_more_after_each_burst(tmp_path: Path) -> None:
    rests: list[float] = []

    def rest(busy_s: float) -> bool:
        rests.append(busy_s)
        return len(rests) < 3

    effort = Effort(min_runs=1000, max_runs=100_000, burst_ms=5.0)
    assert measure(order(sensor_bundle(tmp_path / "level")), effort, rest) == Later("it was called off")
    assert len(rests) == 3
    assert all(busy_s > 0 for busy_s in rests)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"opens": "os.kill(os.getpid(), signal.SIGSEGV)"}, "loading crashed with SIGSEGV"),
        ({"infer": "self.calls > 2 and os.abort()"}, "a call crashed with SIGABRT"),
        (
            {"opens": "print('no licence', file=sys.stderr); os._exit(3)"},
            "loading ended the process with status 3: no licence",
        ),
    ],
)
def test_a_crash_is_a_result_that_holds_for_any_number_of_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: dict[str, str], words: str
) -> None:
    assert measure(order(strange_bundle(tmp_path, monkeypatch, **how)), SHORT, go_on) == Unfit(words)


def test_what_libraries_print_is_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = strange_bundle(tmp_path, monkeypatch, opens="os.system('echo from a library')", infer="print('and again')")
    assert isinstance(measure(order(folder), SHORT, go_on), Run)


def last_words() -> set[str]:
    """Give the last word of each process's command line."""
    return {(one.info["cmdline"] or [""])[-1] for one in psutil.process_iter(["cmdline"])}


def hung(folder: Path, doing_s: float = 1.0) -> tuple[Outcome, float]:
    began = time.monotonic()
    return measure(order(folder), Effort(deadline_s=doing_s), go_on), time.monotonic() - began


def test_a_child_that_hangs_is_ended_at_its_deadline_with_all_that_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = strange_bundle(tmp_path, monkeypatch, opens="os.system('sleep 71.7')")
    got, took_s = hung(folder, 10.0)
    assert got == Unfit("loading did not end within 10 s", any_threads=False)
    assert took_s < 14
    until(lambda: "71.7" not in last_words(), "the end of what it started")


def test_a_child_that_starves_is_ended_long_before_its_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = strange_bundle(tmp_path, monkeypatch, opens="os.system('sleep 72.7')")
    got = measure(order(folder), Effort(deadline_s=60.0, starved_s=0.0), go_on)
    assert isinstance(got, Later)
    assert got.reason.startswith("the box is busy: loading waited ")
    until(lambda: "72.7" not in last_words(), "the end of what it started")


def test_a_call_that_hangs_is_ended_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = strange_bundle(tmp_path, monkeypatch, infer="self.calls > 2 and time.sleep(60)")
    got, _ = hung(folder, 10.0)
    assert got == Unfit("a call did not end within 10 s", any_threads=False)


def test_a_child_that_the_system_ended_is_tried_again_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = strange_bundle(tmp_path, monkeypatch, opens="os.kill(os.getpid(), signal.SIGKILL)")
    got = measure(order(folder), SHORT, go_on)
    assert got == Later("the system ended it while loading: memory may be short")


def with_file(folder: Path, content: bytes) -> Path:
    """Put another file in the model's place, with its digest in the manifest."""
    weights, manifest = folder / "model.tflite", folder / "model.toml"
    before = sha256_of(weights)
    weights.write_bytes(content)
    manifest.write_text(manifest.read_text("utf-8").replace(before, sha256_of(weights)), "utf-8")
    return folder


@pytest.mark.parametrize("gone", ["model.toml", "model.tflite"])
def test_a_file_that_went_away_meanwhile_is_tried_again_later(tmp_path: Path, gone: str) -> None:
    folder = sensor_bundle(tmp_path / "level")
    (folder / gone).unlink()
    assert isinstance(measure(order(folder), SHORT, go_on), Later)


def test_a_file_that_was_altered_since_it_was_ordered_is_not_the_one_that_is_judged(tmp_path: Path) -> None:
    folder = sensor_bundle(tmp_path / "level")
    (folder / "model.tflite").write_bytes(b"no model")
    got = measure(order(folder), SHORT, go_on)
    assert isinstance(got, Later)
    assert "its file is not what it was" in got.reason


@pytest.mark.parametrize(
    "how",
    [
        {"opens": "raise MemoryError"},
        {"opens": "raise OSError(28, 'No space left on device')"},
        {"infer": "raise OSError(5, 'Input/output error')"},
        {"opens": "print('what():  std::bad_alloc', file=sys.stderr); os.abort()"},
        {"opens": "os.kill(os.getpid(), signal.SIGBUS)"},
    ],
    ids=str,
)
def test_memory_and_disk_that_fail_are_no_fault_of_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: dict[str, str]
) -> None:
    assert isinstance(measure(order(strange_bundle(tmp_path, monkeypatch, **how)), SHORT, go_on), Later)


def test_a_file_that_its_runtime_refuses_is_never_tried_again(tmp_path: Path) -> None:
    folder = with_file(sensor_bundle(tmp_path / "level"), b"no model")
    got = measure(order(folder), SHORT, go_on)
    assert isinstance(got, Unfit)
    assert got.reason.startswith("cannot ")
    assert got.any_threads


def test_where_no_process_can_be_started_nothing_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    got = measure(order(sensor_bundle(tmp_path / "level")), SHORT, go_on)
    assert got == Later("cannot start a process: No such file or directory")
