"""``edgectl camera look`` at real streams: an HTTP camera, an RTSP server, and cameras that are not well."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import pytest

from edgectl.cli import main
from edged.assembly.check import check_all
from edged.config.load import load
from fakes.daemon import Said, write_config
from fakes.mjpeg import PASSWORD, USER, JpegCamera
from fakes.rtsp import RtspServer

pytestmark = pytest.mark.slow

QUICK = ("--seconds", "0.6")
Verb = Callable[..., Said]


@pytest.fixture
def look(capsys: pytest.CaptureFixture[str]) -> Verb:
    def run(*words: str | Path) -> Said:
        status = main(["camera", "look", *map(str, words), *(() if "--seconds" in words else QUICK)])
        said = capsys.readouterr()
        return Said(status, said.out, said.err)

    return run


def test_an_rtsp_camera_is_measured_recorded_and_shown_as_a_model_sees_it(look: Verb, tmp_path: Path) -> None:
    server = RtspServer()
    files = {name: tmp_path / name for name in ("dock.jpg", "dock.mp4", "tensor.png")}
    grab, record, tensor = files.values()
    said = look(
        server.url, "--seconds", "1.5", "--grab", grab, "--record", record, "--model", "camera-health", "--tensor", tensor, "--json"
    )  # fmt: skip
    server.kill()

    told = json.loads(said.out)
    assert (said.status, said.err, told["schema"]) == (0, "", "edged.camera.look/1")
    assert (told["width"], told["height"]) == (640, 480)
    assert 5 < told["pictures"]["rate_hz"] < 40
    assert told["age_ms"]["p50"] < 1000
    assert sorted(told["files"]) == sorted(map(str, files.values()))
    shown, seen = (cv2.imread(str(file)) for file in (grab, tensor))
    assert shown is not None
    assert seen is not None
    assert shown.shape == (480, 640, 3)
    assert [1, *seen.shape] == told["tensor"]["shape"]
    with av.open(str(record)) as recording:
        stream = recording.streams.video[0]
        times_s = [float(picture.time or 0) for picture in recording.decode(stream)]
    assert len(times_s) == told["pictures"]["count"]
    assert times_s == sorted(times_s)
    assert 0.5 < times_s[-1] - times_s[0] < 6


def test_an_http_camera_with_a_password_gets_an_entry_that_passes_the_check(
    look: Verb, jpegs: JpegCamera, tmp_path: Path
) -> None:
    secret = tmp_path / "dock.password"
    secret.write_text(PASSWORD + "\n")
    signed = ("--username", USER, "--password-file", secret, "--name", "dock")

    said = look(f"{jpegs.url}/digest", *signed, "--entry")

    assert (said.status, said.err) == (0, "")
    file = write_config(tmp_path, 1883, said.out)
    assert check_all(file).configuration == ()
    (source,) = load(file).config.source
    assert source.model_dump(mode="json", exclude_defaults=True) == {
        "name": "dock",
        "kind": "camera",
        "url": f"{jpegs.url}/digest",
        "username": USER,
        "password_file": str(secret),
    }
    again = look("dock", "--config", file, "--json")
    assert json.loads(again.out)["pictures"]["count"] > 3
    assert PASSWORD not in said.out + again.out


def test_a_picture_in_figures_ends_with_the_entry(look: Verb, jpegs: JpegCamera) -> None:
    said = look(f"{jpegs.url}/ok")
    assert (said.status, said.err) == (0, "")
    names = [line.split()[0] for line in said.out.splitlines() if line.startswith("  ")]
    assert names == ["opened", "size", "rate", "jitter", "age", "dropped", "picture"]
    assert said.out.rstrip().endswith(f'[[source]]\nname = "127-0-0-1"\nkind = "camera"\nurl = "{jpegs.url}/ok"')
    assert "▀" not in said.out


def test_a_stream_with_damage_is_shown_and_found_faulty(look: Verb, jpegs: JpegCamera) -> None:
    said = look(f"{jpegs.url}/cut")
    assert said.status == 1
    assert "damaged: look at its cable" in said.out
    assert "[[source]]" in said.out


def test_a_recording_is_bounded(look: Verb, jpegs: JpegCamera, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgectl.camera.record.MAX_BYTES", 1000)
    said = look(f"{jpegs.url}/ok", "--seconds", "30", "--record", tmp_path / "a.mp4", "--json")
    assert json.loads(said.out)["pictures"]["seconds"] < 20
    with av.open(str(tmp_path / "a.mp4")) as recording:
        assert recording.streams.video[0].codec_context.width == 320


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("http://127.0.0.1:9/x",), 1, "connection refused, expected pictures; check its address and port"),
        (("/dev/video77",), 1, "no such device"),
        (("nonsense",), 2, "expected /dev/video0, a number, an rtsp, http or https address"),
        (("rtsp://a:b@c/d",), 2, "give --username a --password-file FILE"),
        (("rtsp://c/d", "--tensor", "a.png"), 2, "expected --model NAME beside --tensor"),
    ],
)
def test_what_cannot_be_looked_at_is_told_with_the_next_step(
    look: Verb, words: tuple[str, ...], status: int, said: str
) -> None:
    done = look(*words)
    assert (done.status, done.out) == (status, "")
    assert said in done.err


@pytest.mark.parametrize("option", ["--grab", "--record"])
def test_a_file_that_cannot_be_written_is_the_requests_fault(look: Verb, jpegs: JpegCamera, option: str) -> None:
    done = look(f"{jpegs.url}/ok", option, "/nowhere/at/all.mp4" if option == "--record" else "/nowhere/at/all.jpg")
    assert done.status == 2
    assert "/nowhere/at/all" in done.err


def test_a_recording_stays_when_the_camera_does_not_open_and_none_is_left_behind(look: Verb, tmp_path: Path) -> None:
    kept, new = tmp_path / "kept.mp4", tmp_path / "new.mp4"
    kept.write_bytes(b"last night's")

    assert [look("http://127.0.0.1:1/", "--record", file).status for file in (kept, new)] == [1, 1]
    assert kept.read_bytes() == b"last night's"
    assert not new.exists()


def test_a_recording_that_the_disk_does_not_take_is_told_and_plays_up_to_there(
    look: Verb, jpegs: JpegCamera, tmp_path: Path
) -> None:
    file, limits = tmp_path / "dock.mp4", resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
    try:
        said = look(jpegs.url, "--record", file)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert (said.status, said.out) == (1, "")
    assert f"cannot record to {file}: File too large, expected a disk that takes it" in said.err
    assert file.stat().st_size <= 2000


def test_a_model_that_is_not_there_is_told_before_anything_is_measured(look: Verb) -> None:
    done = look("http://127.0.0.1:9/x", "--model", "absent")
    assert done.status == 2
    assert "cannot find model 'absent'" in done.err
