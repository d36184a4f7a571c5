from __future__ import annotations

import json
from typing import Any

import pytest

from edged.domain.frame import Stamp
from edged.domain.result import (
    Anomaly,
    Classes,
    ClassScore,
    Detection,
    Detections,
    Event,
    Keypoint,
    Keypoints,
    Latency,
    Mask,
    ModelRef,
    Output,
    Result,
    Segment,
    Value,
    Values,
)
from edged.fleet import documents, schemas
from edged.fleet.topics import Stamper
from fakes.clock import FakeClock

MODEL = ModelRef("parts", "1.2.0", "int8", "sha256:00", "litert", "cpu")
STAMP = Stamp(5120, 86_400_120_000_000, 1_795_216_204_120_000_000, 204.8)
STAMPER = Stamper("boot-1", FakeClock())
BOX = (0.123456789, 0.2, 0.31, 1 / 3)
OUTPUTS = [
    Detections((Detection("washer", 0.912345, BOX),)),
    Detections(()),
    Classes((ClassScore("orange", 0.965), ClassScore("lemon", 0.01))),
    Anomaly(3.5, 2.25),
    Detections((Detection("person", 0.8, BOX, track=7),)),
    Keypoints((Keypoint("nose", 0.912345, 0.123456789, 1 / 3),)),
    Values((Value("bar", 1.5199999809265137),)),
    Mask(4, 2, BOX, (Segment("bird", 1 / 3, (2, 2, 1, 3)),)),
]


def result(output: Output | None = OUTPUTS[0], reason: str = "") -> Result:
    status: Any = "ok" if output is not None else "unknown"
    return Result("gate", STAMP, MODEL, status, Latency(3.1, 0.4, 12.23456, 0.3), output, reason)


def on_the_wire(body: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps({**body, "device": "press-07", "seq": 812}))
    return found


def test_a_result_reads_as_the_contract_has_it() -> None:
    assert on_the_wire(documents.result_body(result(), STAMPER)) == {
        "schema": "edged.result/1",
        "device": "press-07",
        "boot_id": "boot-1",
        "seq": 812,
        "pipeline": "gate",
        "captured_at": "2026-11-20T23:10:04.120Z",
        "mono_ms": 86400120,
        "clock": "synced",
        "frame": 5120,
        "source_s": 204.8,
        "status": "ok",
        "model": {
            "name": "parts",
            "version": "1.2.0",
            "variant": "int8",
            "digest": "sha256:00",
            "runtime": "litert",
            "accelerator": "cpu",
        },
        "latency_ms": {"age": 3.1, "preprocess": 0.4, "inference": 12.235, "postprocess": 0.3},
        "detections": [{"label": "washer", "score": 0.9123, "box": [0.12346, 0.2, 0.31, 0.33333]}],
    }


@pytest.mark.parametrize(
    "output",
    OUTPUTS,
    ids=["detections", "nothing-found", "classes", "anomaly", "tracked", "keypoints", "values", "mask"],
)
def test_results_and_events_are_documents_of_their_schema(output: Output) -> None:
    event = Event("gate", "at-the-gate", "start", STAMP, STAMP, result(output))
    told = on_the_wire(documents.result_body(result(output), STAMPER))
    heard = on_the_wire(documents.event_body(event, STAMPER))

    schemas.ResultDocument.model_validate(told, strict=False)
    schemas.EventDocument.model_validate(heard, strict=False)


def test_a_failure_has_a_reason_and_no_empty_list() -> None:
    body = documents.result_body(result(None, "deadline"), STAMPER)

    assert (body["status"], body["reason"]) == ("unknown", "deadline")
    assert "detections" not in body
    schemas.ResultDocument.model_validate(on_the_wire(body))


def test_an_anomaly_says_whether_it_is_one() -> None:
    body = documents.result_body(result(Anomaly(3.5, 2.25)), STAMPER)

    assert body["anomaly"] == {"score": 3.5, "threshold": 2.25, "is_anomaly": True}


def test_a_followed_detection_has_its_number() -> None:
    body = documents.result_body(result(Detections((Detection("person", 0.8, BOX, track=7),))), STAMPER)

    assert body["detections"][0]["track"] == 7


def test_a_mask_tells_its_size_its_place_and_its_runs() -> None:
    body = on_the_wire(documents.result_body(result(Mask(4, 2, BOX, (Segment("bird", 1 / 3, (2, 2)),))), STAMPER))

    assert body["mask"] == {
        "width": 4,
        "height": 2,
        "box": [0.12346, 0.2, 0.31, 0.33333],
        "segments": [{"label": "bird", "share": 0.33333, "runs": [2, 2]}],
    }


def test_a_pose_and_values_are_told_as_the_model_gives_them() -> None:
    pose = documents.result_body(result(Keypoints((Keypoint("nose", 0.912345, 0.25, 1 / 3),))), STAMPER)
    values = documents.result_body(result(Values((Value("bar", 1.5199999809265137),))), STAMPER)

    assert pose["keypoints"] == [{"label": "nose", "score": 0.9123, "x": 0.25, "y": 0.33333}]
    assert values["values"] == [{"label": "bar", "value": 1.52}]


def test_an_event_tells_the_rule_the_phase_and_when_it_was_seen() -> None:
    event = Event("gate", "at-the-gate", "end", STAMP, STAMP, result())

    body = documents.event_body(event, STAMPER)

    assert (body["rule"], body["phase"], body["frame"]) == ("at-the-gate", "end", 5120)
    assert (body["since"], body["until"]) == ("2026-11-20T23:10:04.120Z", "2026-11-20T23:10:04.120Z")
    assert (body["duration_s"], body["source_s"]) == (0.0, 204.8)
    assert body["detections"][0]["label"] == "washer"


def test_fields_of_later_versions_are_kept() -> None:
    body = on_the_wire(documents.result_body(result(), STAMPER)) | {"later": 1}

    assert schemas.ResultDocument.model_validate(body).model_dump()["later"] == 1
