from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

from edgectl.camera.target import Asked, ask_password, target, with_observed
from edgectl.entry import entry
from edged.config.schema import CameraSource, Config
from edged.domain.errors import ConfigError, DeviceError
from fakes.ptyscreen import PtyScreen

EMPTY = Config.model_validate({"device": {"id": "a"}})
DOCK = {
    "name": "dock",
    "kind": "camera",
    "url": "rtsp://10.0.0.7/stream",
    "fps": 15.0,
    "masks": [[[0, 0], [1, 0], [1, 1]]],
}
CONFIGURED = Config.model_validate({"device": {"id": "a"}, "source": [DOCK]})


@pytest.mark.parametrize(
    ("camera", "url", "name"),
    [
        ("0", "/dev/video0", "video0"),
        ("/dev/video2", "/dev/video2", "video2"),
        ("rtsp://dock.plant.local:8554/live", "rtsp://dock.plant.local:8554/live", "dock-plant-local"),
        ("libcamerasrc ! video/x-raw,width=1280", "libcamerasrc ! video/x-raw,width=1280", "libcamerasrc"),
    ],
)
def test_a_camera_is_named_by_where_it_is(camera: str, url: str, name: str) -> None:
    source = target(Asked(camera), EMPTY)
    assert (source.url, source.name) == (url, name)


@pytest.mark.parametrize("camera", ["", "  ", "rtsp://[10.0.0.7/live", "http://10.0.0.7:99999/"])
def test_what_is_no_address_is_refused_with_the_next_step(camera: str) -> None:
    with pytest.raises(ConfigError, match="it names no camera, expected a device") as caught:
        target(Asked(camera), EMPTY)
    assert caught.value.remedy == "edgectl camera list tells which devices there are"


def test_a_configured_source_is_meant_by_its_name_and_what_is_asked_for_wins() -> None:
    source = target(Asked("dock", fps=5.0), CONFIGURED)
    assert (source.url, source.fps, len(source.masks)) == (DOCK["url"], 5.0, 1)


def test_a_password_on_the_command_line_is_refused_and_not_repeated() -> None:
    with pytest.raises(ConfigError) as caught:
        target(Asked("rtsp://admin:secret@10.0.0.7/live"), EMPTY)
    assert "secret" not in str(caught.value)
    assert "give --username admin --password-file FILE" in str(caught.value)


def test_a_password_stays_in_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("dock.password").write_text("secret\n")
    source = target(Asked("rtsp://10.0.0.7/live", username="admin", password_file=Path("dock.password")), EMPTY)
    assert "secret" not in entry(source)
    assert f'password_file = "{tmp_path}/dock.password"' in entry(source)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (Asked("0", size="1280"), "expected WIDTHxHEIGHT"),
        (Asked("ftp://10.0.0.7/x", name="UPPER"), "cannot use name"),
        (Asked("rtsp://10.0.0.7/x", transport="carrier-pigeon"), "cannot use transport"),
        (Asked("rtsp://10.0.0.7/x", password_file=Path("dock.password")), "expected --username beside"),
    ],
)
def test_what_the_configuration_would_not_take_is_refused(asked: Asked, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        target(asked, EMPTY)


def test_a_device_that_another_program_holds_is_left_alone(screens: list[PtyScreen]) -> None:
    holder = PtyScreen(program=("cat",))
    screens.append(holder)
    holder.press("here\r")
    holder.until(lambda text: text.count("here") == 2, "what is typed, and its copy")
    terminal = Path(f"/proc/{holder.pid}/fd/0").readlink()
    with pytest.raises(DeviceError, match=rf"cat \(process {holder.pid}\) holds it.*kill {holder.pid}"):
        target(Asked(str(terminal)), EMPTY)


def test_the_size_that_was_seen_of_a_device_is_part_of_its_entry() -> None:
    device, stream = (
        CameraSource.model_validate({"name": "a", "kind": "camera", "url": url})
        for url in ("/dev/video0", "rtsp://a/b")
    )
    assert "width = 640\nheight = 480" in entry(with_observed(device, 640, 480))
    assert "width" not in entry(with_observed(stream, 640, 480))


@pytest.mark.slow
def test_a_password_is_asked_for_where_a_person_sits_and_kept_from_others(
    tmp_path: Path, screens: list[PtyScreen]
) -> None:
    file = tmp_path / "dock.password"
    code = (
        f"from pathlib import Path; from edgectl.camera.target import ask_password; ask_password(Path({str(file)!r}))"
    )
    asked = PtyScreen(program=(sys.executable, "-c", code))
    screens.append(asked)
    asked.until(lambda text: "password" in text and asked.asks, "the question")
    assert asked.end("secret\r") == 0
    assert "secret" not in asked.said
    assert file.read_text() == "secret\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_without_a_person_a_missing_password_is_told_with_how_to_write_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="umask 077"):
        ask_password(tmp_path / "absent")
