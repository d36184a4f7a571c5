from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pydantic import TypeAdapter

from edged.assembly.lines import feed_settings, is_lossless, opener, rule
from edged.assembly.secrets import secret
from edged.config import schema
from edged.domain.errors import ConfigError, DeviceError
from edged.domain.frame import Frame, Samples
from fakes.clock import FakeClock
from fakes.recording import write_video
from fakes.results import detections
from fakes.sensor import write_windows

CAMERA = {"kind": "camera", "url": "/dev/video9"}
VIDEO = {"kind": "file", "path": "/a.mp4"}
IMAGES = {"kind": "images", "path": "/pictures"}
CSV = {"kind": "csv", "path": "/a.csv", "columns": ["x"], "rate_hz": 100.0}


def source(settings: dict[str, Any], **more: Any) -> schema.Source:
    made: schema.Source = TypeAdapter(schema.Source).validate_python({"name": "s", **settings, **more})
    return made


@pytest.mark.parametrize(
    ("settings", "more", "lossless"),
    [
        (CAMERA, {}, False),
        (VIDEO, {}, True),
        (VIDEO, {"pace": "recorded"}, False),
        (IMAGES, {}, True),
        (IMAGES, {"fps": 5}, False),
        (CSV, {}, True),
        (CSV, {"pace": "recorded"}, True),
        (CSV, {"loop": True}, True),
    ],
)
def test_what_is_read_as_fast_as_possible_waits_for_its_readers(
    settings: dict[str, Any], more: dict[str, Any], lossless: bool
) -> None:
    assert is_lossless(source(settings, **more)) is lossless


@pytest.mark.parametrize(
    ("settings", "more", "expected"),
    [
        (VIDEO, {}, {"pace": "fast", "fps": None, "reopen": False}),
        (VIDEO, {"pace": "recorded", "fps": 5}, {"pace": "recorded", "fps": 5, "reopen": False}),
        (IMAGES, {}, {"pace": "fast", "reopen": False}),
        (IMAGES, {"fps": 5}, {"pace": "recorded", "reopen": False}),
        (CSV, {}, {"pace": "fast", "fps": None, "reopen": False}),
        (CSV, {"pace": "recorded"}, {"pace": "recorded", "fps": None, "reopen": False}),
        (VIDEO, {"loop": True}, {"pace": "fast", "fps": None, "reopen": True}),
        (IMAGES, {"loop": True}, {"pace": "fast", "reopen": True}),
        (CSV, {"loop": True}, {"pace": "fast", "fps": None, "reopen": True}),
    ],
)
def test_a_finite_source_keeps_its_pace_and_is_opened_again_only_in_a_loop(
    settings: dict[str, Any], more: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert feed_settings(source(settings, **more)) == expected


@pytest.mark.parametrize("fps", [None, 15.0])
def test_a_camera_has_its_own_pace_and_is_opened_again(fps: float | None) -> None:
    settings = feed_settings(source(CAMERA, fps=fps))
    assert settings["fps"] == fps
    assert settings.keys().isdisjoint({"pace", "reopen"})


def test_a_video_is_opened_by_its_kind(tmp_path: Path) -> None:
    opened = opener(source(VIDEO, path=str(write_video(tmp_path / "a.mp4", frames=3))), FakeClock())()
    frame = opened.read()
    opened.close()
    assert isinstance(frame, Frame)
    assert frame.data.ndim == 3


def test_pictures_are_opened_by_their_kind(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.full((4, 6, 3), 200, np.uint8))
    opened = opener(source(IMAGES, path=str(tmp_path)), FakeClock())()
    frame = opened.read()
    assert isinstance(frame, Frame)
    assert frame.data.shape == (4, 6, 3)
    assert opened.read() is None
    opened.close()


def test_samples_are_opened_by_their_kind(tmp_path: Path) -> None:
    opened = opener(source(CSV, path=str(write_windows(tmp_path / "a.csv", [1.0]))), FakeClock())()
    samples = opened.read()
    assert isinstance(samples, Samples)
    opened.close()


def test_a_camera_is_opened_by_its_kind() -> None:
    with pytest.raises(DeviceError, match="cannot open camera /dev/video-that-is-absent"):
        opener(source(CAMERA, url="/dev/video-that-is-absent"), FakeClock())()


def test_a_cameras_secret_is_read_when_it_is_opened(tmp_path: Path) -> None:
    settings = source(CAMERA, url="rtsp://127.0.0.1/a", username="viewer", password_file=str(tmp_path / "absent"))
    open_source = opener(settings, FakeClock())
    with pytest.raises(DeviceError, match=r"cannot read the secret in .*absent"):
        open_source()


@pytest.mark.parametrize("masked", [True, False])
def test_a_mask_is_black_before_anybody_sees_the_picture(tmp_path: Path, masked: bool) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.full((8, 8, 3), 200, np.uint8))
    left = [[[0.0, 0.0], [0.5, 0.0], [0.5, 1.0], [0.0, 1.0]]]
    opened = opener(source(IMAGES, path=str(tmp_path), masks=left if masked else []), FakeClock())()

    frame = opened.read()
    opened.close()

    assert isinstance(frame, Frame)
    assert frame.data[:, :3].max() == (0 if masked else 200)
    assert frame.data[:, 5:].min() == 200


def test_a_kind_that_nothing_opens_is_refused_with_those_that_can() -> None:
    odd = source(VIDEO).model_copy(update={"kind": "odd"})
    with pytest.raises(ConfigError, match="kind 'odd' is not available in this version, expected one of camera, file"):
        opener(odd, FakeClock())


def test_a_box_without_the_camera_libraries_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    monkeypatch.delitem(sys.modules, "edged.sources.video", raising=False)
    with pytest.raises(DeviceError, match=r"av is not installed.*install edged\[camera\]") as caught:
        opener(source(VIDEO), FakeClock())()
    assert caught.value.code == "library-missing"


@pytest.mark.parametrize(("content", "expected"), [(b"secret\n", "secret"), (b"a b\r\n", "a b"), (b" x ", " x ")])
def test_a_line_end_behind_a_secret_does_not_count(tmp_path: Path, content: bytes, expected: str) -> None:
    (tmp_path / "password").write_bytes(content)
    assert secret(tmp_path / "password") == expected


def test_a_secret_that_is_no_text_is_refused_without_showing_it(tmp_path: Path) -> None:
    (tmp_path / "password").write_bytes(b"hunter2\xff")
    with pytest.raises(DeviceError, match="expected a readable UTF-8 file") as caught:
        secret(tmp_path / "password")
    assert "hunter2" not in str(caught.value)
    assert caught.value.code == "credential-missing"


def test_a_secret_without_end_is_not_read_to_its_end() -> None:
    with pytest.raises(DeviceError, match="it has more than 16384 characters"):
        secret(Path("/dev/zero"))


def test_no_file_is_no_secret() -> None:
    assert secret(None) is None


def test_a_rule_takes_everything_that_was_said() -> None:
    settings = schema.Rule.model_validate(
        {"name": "r", "when": {"label": "bolt", "min_score": 0.6}, "for_s": 2, "gap_s": 0.5, "cooldown_s": 30}
    )
    made = rule("gate", settings)
    assert (made.pipeline, made.name) == ("gate", "r")
    assert made.condition(detections("bolt", score=0.7))
    assert not made.condition(detections("bolt", score=0.5))
    assert not made.condition(detections("nut", score=0.7))
    assert (made.timing.for_s, made.timing.gap_s, made.timing.cooldown_s) == (2, 0.5, 30)
