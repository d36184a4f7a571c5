"""The box's models for requests."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edged.api.refusal import RefusedError
from edged.api.sequences import Step
from edged.assembly import serving_models
from edged.assembly.admitting import Admitting
from edged.assembly.box import Box, survey
from edged.assembly.serving_models import LAST, BoxInstance, BoxModels, Guests
from edged.assembly.supply import Supply
from edged.config.share import shipped
from edged.domain.errors import BudgetError, BundleError, EngineLostError, FrameError
from edged.domain.frame import Frame, Stamp
from edged.domain.ports import Queued
from edged.domain.result import Anomaly, Detections
from edged.hardware.clock import SystemClock
from edged.pipeline.line import Line
from edged.pipeline.turns import Turns
from fakes.sensor import sensor_bundle
from fakes.sumbundle import sum_bundle
from fakes.waiting import until

STAMP = Stamp(0, 0, 0, 0.0)


@pytest.fixture(scope="module")
def box() -> Box:
    """Give this machine with the shipped profiles."""
    return survey(Path("/"), "auto", ())


def models(box: Box, state: Path, lines: Sequence[Line] = (), folders: tuple[Path, ...] = ()) -> BoxModels:
    folders = folders or (shipped("models"),)
    clock = SystemClock()
    guests = Guests(Turns(2), 2, lambda: lines)
    return BoxModels(folders, Supply(folders, state, box, clock), Admitting(box, clock), guests, lambda: lines, clock)


@pytest.fixture
def made(box: Box, tmp_path: Path) -> BoxModels:
    return models(box, tmp_path)


def test_every_bundle_is_offered_with_its_version(made: BoxModels) -> None:
    assert {"parts", "vibration", "sensor-forecast"} <= made.offered().keys()
    assert all(version.count(".") == 2 for version in made.offered().values())
    assert not made.runs("parts")


def test_a_detector_answers_a_picture_and_tensors(made: BoxModels) -> None:
    brought = made.bring("parts")
    instance = brought.instance()

    found = instance.answer(cv2.imencode(".jpg", np.full((90, 120, 3), 90, np.uint8))[1].tobytes())
    (spec,) = brought.inputs
    outputs = instance.infer([np.zeros(spec.shape, spec.dtype)])

    assert isinstance(found, Detections)
    assert [array.shape for array in outputs] == [spec.shape for spec in brought.outputs]
    assert (brought.takes, brought.about["task"], brought.about["threads"]) == ("image", "detection", 1)
    instance.close()
    brought.close()


def test_an_instance_has_run_once_before_it_is_given_and_one_that_cannot_is_not(
    made: BoxModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    brought = made.bring("parts")
    ran: list[BoxInstance] = []
    warm_up = BoxInstance.warm_up

    def watched(instance: BoxInstance) -> None:
        warm_up(instance)
        ran.append(instance)

    monkeypatch.setattr(BoxInstance, "warm_up", watched)
    first = brought.instance()
    assert ran == [first]

    def fails(_instance: BoxInstance) -> None:
        raise EngineLostError("cannot run")

    monkeypatch.setattr(BoxInstance, "warm_up", fails)
    with pytest.raises(EngineLostError):
        brought.instance()
    first.close()
    brought.close()


def test_a_model_that_remembers_is_served_one_step_at_a_time(box: Box, tmp_path: Path) -> None:
    sum_bundle(tmp_path / "models" / "sum")
    brought = models(box, tmp_path / "state", folders=(tmp_path / "models",)).bring("sum")
    instance, ones = brought.instance(), [np.ones((1, 2), np.float32)]

    told = [
        float(instance.infer(ones, Step(name, is_first=first))[0][0, 0])
        for name, first in (("a", True), ("b", True), ("a", False), ("a", False), ("b", False))
    ]

    assert (brought.remembers, brought.most) == (True, 1)
    assert told == [1, 1, 2, 3, 2]
    with pytest.raises(RefusedError, match="expected sequence_start"):
        instance.infer(ones, Step("c"))
    instance.close()
    brought.close()


def test_what_is_no_picture_is_the_clients_fault(made: BoxModels) -> None:
    brought = made.bring("parts")
    instance = brought.instance()

    with pytest.raises(FrameError, match="cannot decode a picture of 4 bytes"):
        instance.answer(b"\xff\xd8\xff\xe0")
    instance.close()


def test_a_window_of_the_wrong_size_is_the_clients_fault(made: BoxModels) -> None:
    brought = made.bring("vibration")
    instance = brought.instance()

    assert isinstance(
        instance.answer(Frame(np.random.default_rng(1).normal(size=(128, 3)).astype(np.float32), STAMP)), Anomaly
    )
    with pytest.raises(FrameError, match=r"expected \(128, 3\)"):
        instance.answer(Frame(np.zeros((7, 3), np.float32), STAMP))
    with pytest.raises(FrameError, match="sensor windows"):
        instance.answer(b"\xff\xd8")
    instance.close()


def test_several_instances_of_an_onnx_model_share_its_session(box: Box, tmp_path: Path) -> None:
    without_tflite = replace(box, runtimes=tuple(one for one in box.runtimes if one.runtime == "onnx"))
    brought: Any = models(without_tflite, tmp_path).bring("vibration")

    first, second = brought.instance(), brought.instance()

    assert first._model.engine.engine is second._model.engine.engine
    assert first._model.preprocess is not second._model.preprocess
    first.close()
    second.close()
    assert repr(without_tflite.engines.shares) == "<Shares none>"


def test_requests_come_last_where_an_interpreter_serves_one_thread_at_a_time(box: Box, tmp_path: Path) -> None:
    sensor_bundle(tmp_path / "models" / "level")
    brought = models(box, tmp_path / "state", folders=(tmp_path / "models",)).bring("level")
    instance = brought.instance()

    engine = instance._model.engine
    assert isinstance(engine, Queued)
    assert engine.priority == LAST
    instance.close()
    brought.close()


def test_a_request_that_the_session_cannot_take_loads_the_model_no_second_time(box: Box, tmp_path: Path) -> None:
    without_tflite = replace(box, runtimes=tuple(one for one in box.runtimes if one.runtime == "onnx"))
    brought: Any = models(without_tflite, tmp_path).bring("vibration")
    pipeline, first = brought.instance(), brought.instance()
    with pytest.raises(EngineLostError):
        first.infer([np.zeros((1, 1), np.float32)])
    first.close()

    again = brought.instance()

    assert again._model.engine.engine is pipeline._model.engine.engine
    for instance in (again, pipeline):
        instance.close()


def test_a_model_that_memory_has_no_room_for_is_refused_with_the_sum(box: Box, tmp_path: Path) -> None:
    small = replace(
        box, profile=box.profile.model_copy(update={"limits": box.profile.limits.model_copy(update={"memory_mb": 1})})
    )

    with pytest.raises(BudgetError, match="cannot run in the memory that is left"):
        models(small, tmp_path).bring("parts")


def test_one_more_instance_that_memory_has_no_room_for_is_refused(
    made: BoxModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    brought: Any = made.bring("parts")
    brought.instance().close()
    monkeypatch.setattr(made._supply, "has_room", lambda _rung: False)

    with pytest.raises(BudgetError, match="another instance of 'parts'"):
        brought.instance()


def test_a_model_that_there_is_not_cannot_be_brought(made: BoxModels) -> None:
    with pytest.raises(BundleError, match="cannot find model 'nope'"):
        made.bring("nope")


def test_what_no_instance_took_is_freed_at_the_end(box: Box, made: BoxModels) -> None:
    made.bring("parts").close()

    assert repr(box.engines.shares) == "<Shares none>"


@pytest.mark.parametrize(("piped", "at_once"), [(False, 2), (True, 1)])
def test_where_pipelines_run_one_processor_stays_theirs(piped: bool, at_once: int) -> None:
    turns, lines = Turns(2), [object()] if piped else []
    guests = Guests(turns, 2, lambda: lines)  # type: ignore[arg-type, return-value]
    inside, leave = threading.Semaphore(0), threading.Event()

    def work() -> None:
        with guests.turn():
            inside.release()
            leave.wait(10)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    have_entered = all(inside.acquire(timeout=60) for _ in range(at_once))
    has_one_more = inside.acquire(timeout=0.3)
    leave.set()
    for thread in threads:
        thread.join(10)

    assert (have_entered, has_one_more) == (True, False)


@pytest.mark.parametrize(("width", "at_once"), [(2, False), (1, True)])
def test_a_request_does_not_begin_beside_a_frame_that_takes_all_processors(
    width: int, at_once: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving_models, "PASS_S", 60.0)
    turns, began = Turns(2), threading.Event()
    guests = Guests(turns, 2, lambda: [object()])  # type: ignore[arg-type, return-value, list-item]

    def guest() -> None:
        with guests.turn():
            began.set()

    thread = threading.Thread(target=guest)
    with turns.turn(0, width):
        thread.start()
        assert began.wait(60 if at_once else 0.3) is at_once
    assert began.wait(60)
    thread.join(60)


def test_a_pipeline_that_waits_goes_before_requests() -> None:
    turns = Turns(1)
    guests = Guests(turns, 1, lambda: [object()])  # type: ignore[arg-type, return-value, list-item]
    order: list[str] = []
    threads: list[threading.Thread] = []

    def guest() -> None:
        with guests.turn():
            order.append("request")

    def pipeline() -> None:
        with turns.turn(-1000):
            order.append("pipeline")

    with turns.turn():
        for work in (guest, pipeline):
            threads.append(threading.Thread(target=work))
            threads[-1].start()
            until(lambda: f"{len(threads)} wait" in repr(turns), "it waits")
    for thread in threads:
        thread.join(10)

    assert order == ["pipeline", "request"]
    assert LAST < -1000
