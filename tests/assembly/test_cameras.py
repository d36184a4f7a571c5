"""Which camera is read by what, and how its thread and its pictures are treated."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from edged.assembly import cameras
from edged.assembly.lines import feed_settings, opener
from edged.config import schema
from edged.domain.bundle import ImageInput, WindowInput
from edged.domain.errors import DeviceError
from edged.domain.frame import Frame
from edged.fleet.topics import Stamper
from edged.hardware.clock import SystemClock
from edged.pipeline.inlet import Inlet
from edged.pipeline.mailbox import Mailbox
from fakes.clock import FakeClock
from fakes.mjpeg import JpegCamera
from fakes.outbox import FakeOutbox

IMAGE = ImageInput(kind="image", width=96, height=96)
WINDOW = WindowInput(kind="window", length=8, stride=8, channels=1)
SEEN: dict[str, Any] = {"name": "seen", "when": {"label": "person"}}


def source(url: str, **more: Any) -> schema.CameraSource:
    made = TypeAdapter(schema.Source).validate_python({"name": "dock", "kind": "camera", "url": url, **more})
    assert isinstance(made, schema.CameraSource)
    return made


def pipeline(**more: Any) -> schema.Pipeline:
    return schema.Pipeline.model_validate({"name": "gate", "source": "dock", "model": "person", **more})


def test_jpegs_over_http_come_through_their_own_reader_with_masks_over_them(jpegs: JpegCamera) -> None:
    left = [[[0.0, 0.0], [0.5, 0.0], [0.5, 1.0], [0.0, 1.0]]]
    opened = opener(source(f"{jpegs.url}/live", masks=left), SystemClock(), lambda width, _: width / 80)()
    frame = opened.read()
    opened.close()

    assert "JpegSource" in repr(opened)
    assert isinstance(frame, Frame)
    assert not frame.data[:, : frame.data.shape[1] // 2].any()
    assert frame.data[:, frame.data.shape[1] // 2 + 1 :].any()


def test_a_device_and_a_stream_are_libavs() -> None:
    for url in ("/dev/video-absent", "rtsp://127.0.0.1:9/live"):
        with pytest.raises(DeviceError, match="cannot open camera"):
            opener(source(url), FakeClock())()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("gst-launch-1.0") is None, reason="needs gst-launch-1.0, of gstreamer1.0-tools")
def test_pipeline_text_is_gstreamers() -> None:
    opened = opener(source("videotestsrc ! video/x-raw,width=64,height=48"), SystemClock())()
    frame = opened.read()
    opened.close()

    assert isinstance(frame, Frame)
    assert frame.data.shape == (48, 64, 3)


def test_a_lost_camera_is_tried_often_enough_to_be_seen_within_five_seconds() -> None:
    backoff = feed_settings(source("/dev/video0"))["backoff"]

    assert max(backoff.next_s() for _ in range(50)) <= cameras.RETRY_LIMIT_S


def test_a_cameras_pictures_have_a_greatest_age_and_no_other_sources_have() -> None:
    images = TypeAdapter(schema.Source).validate_python({"name": "s", "kind": "images", "path": "/pictures"})

    assert cameras.max_age_s(source("/dev/video0")) == 1.0
    assert cameras.max_age_s(source("/dev/video0", max_frame_age_ms=250)) == 0.25
    assert cameras.max_age_s(images) is None


@pytest.mark.parametrize(
    ("settings", "model_input", "needed"),
    [
        ({}, IMAGE, IMAGE),
        ({}, WINDOW, None),
        ({"rule": [SEEN]}, IMAGE, IMAGE),
        ({"rule": [{**SEEN, "snapshot": "local"}]}, IMAGE, None),
        ({"then": [{"model": "helmet"}]}, IMAGE, None),
    ],
)
def test_cascades_and_snapshots_need_whole_pictures(settings: dict[str, Any], model_input: Any, needed: Any) -> None:
    assert cameras.need(pipeline(**settings), model_input) == needed


def test_only_rules_that_ask_for_pictures_get_them(tmp_path: Path) -> None:
    rules = [SEEN, {**SEEN, "name": "kept", "snapshot": "local"}, {**SEEN, "name": "sent", "snapshot": "mqtt"}]
    clock = FakeClock()
    sink = cameras.snapshot_sink(
        pipeline(rule=rules), Inlet(Mailbox(), clock, keep=True), tmp_path, FakeOutbox(), Stamper("boot", clock)
    )

    assert repr(sink).startswith("<SnapshotSink {'kept': 'local', 'sent': 'mqtt'}")
    assert cameras.wants_snapshots(pipeline(rule=rules))
    assert not cameras.wants_snapshots(pipeline(rule=[SEEN]))
