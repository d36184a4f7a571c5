"""``edgectl config init`` without a person: what is found, what is said, and the configuration that follows."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path

import pytest

from edgectl.cli import main
from edgectl.config.asks import Nobody
from edgectl.config.found import Device, Found, look
from edgectl.config.questions import Bundles, Places, Said, answers
from edged.assembly.box import model_folders
from edged.config import schema
from edged.config.load import load
from edged.domain.errors import ConfigError
from edged.update.manifest import find_bundles
from fakes.devicetree import build, plant

TREE = """\
etc/machine-id = 0123456789abcdef0123456789abcdef
sys/class/video4linux/video0/name = C922 Pro Stream Webcam
sys/class/video4linux/video0/index = 0
sys/class/video4linux/video1/name = C922 Pro Stream Webcam
sys/class/video4linux/video1/index = 1
sys/class/video4linux/video10/name = bcm2835-codec-decode
sys/class/video4linux/video10/index = 0
dev/video0
dev/video1
dev/video10
dev/ttyUSB0
dev/ttyACM0
dev/ttyS0
sys/class/tty/ttyUSB0/device/
sys/class/tty/ttyACM0/device/
sys/class/tty/ttyS0/type = 0
dev/v4l/by-id/usb-046d_C922-video-index0 -> ../../video0
dev/serial/by-id/usb-FTDI_FT232R_A50285BI-if00-port0 -> ../../ttyUSB0
"""
CAMERA = Device(Path("/dev/v4l/by-id/usb-046d_C922-video-index0"), "C922 Pro Stream Webcam")
PORT = Device(Path("/dev/serial/by-id/usb-FTDI_FT232R_A50285BI-if00-port0"), "ttyUSB0")
NOTHING = Found(None, (), (), ())
PLACES = Places(Path("/etc/edged/mqtt.password"))


@pytest.fixture(scope="module")
def bundles() -> Bundles:
    return find_bundles(model_folders(schema.Config(device=schema.Device(id="a")))).bundles


def asked(said: Said, found: Found, bundles: Bundles, machine: str | None = "edged-0123") -> str:
    return answers(said, found, Nobody(), bundles, machine, PLACES).text()


def config(text: str, folder: Path) -> schema.Config:
    file = folder / "edged.toml"
    file.write_text('[device]\nid = "a"\n' + text if "[device]" not in text else text, encoding="utf-8")
    loaded = load(file)
    assert loaded.faults == ()
    return loaded.config


def test_cameras_are_told_from_their_metadata_and_from_decoders_and_ports_have_names_that_last(tmp_path: Path) -> None:
    found = look(build(TREE, tmp_path))
    assert found.cameras == (CAMERA,)
    assert found.ports == (Device(Path("/dev/ttyACM0"), "ttyACM0"), PORT)
    assert found.accelerators == ()


def test_accelerators_are_told_with_their_state(tmp_path: Path) -> None:
    found = look(plant("raspberry-pi-4-coral-usb3", tmp_path))
    assert found.accelerators == ("Coral USB Accelerator (ready)",)


def test_nobody_gets_every_camera_and_no_port(bundles: Bundles, tmp_path: Path) -> None:
    made = config(asked(Said(), Found(None, (CAMERA,), (PORT,), ()), bundles), tmp_path)
    (source,) = made.source
    assert isinstance(source, schema.CameraSource)
    assert source.url == str(CAMERA.path)
    (pipeline,) = made.pipeline
    assert (pipeline.model, pipeline.objective.fps) == ("camera-health", 1.0)
    assert [(rule.when.label, str(rule.when.count)) for rule in pipeline.rule] == [("ok", "== 0")]


def test_everything_can_be_said_on_the_command_line(bundles: Bundles, tmp_path: Path) -> None:
    said = Said(
        device="press-07",
        broker="broker.plant.local",
        ca=Path("/etc/edged/ca.pem"),
        username="press-07",
        password_file=Path("/etc/edged/password"),
        cameras=("rtsp://10.0.0.7/stream", "/dev/video0"),
        camera_model="parts",
        ports=(Path("/dev/ttyUSB0"),),
        baud=9600,
        sensor_model="sensor-forecast",
        rate_hz=0.5,
        samples=("vibration",),
        state=Path("/data/edged"),
    )
    made = config(asked(said, Found(None, (CAMERA,), (PORT,), ()), bundles), tmp_path)
    assert (made.device.id, made.state.directory) == ("press-07", Path("/data/edged"))
    assert (made.mqtt.host, made.mqtt.port, made.mqtt.username) == ("broker.plant.local", 8883, "press-07")
    assert made.mqtt.tls is not None
    assert made.mqtt.tls.ca == Path("/etc/edged/ca.pem")
    assert [source.name for source in made.source] == ["camera", "camera-2", "sensor", "vibration"]
    sensor = made.source[2]
    assert isinstance(sensor, schema.SerialSource)
    assert (sensor.baud, sensor.columns, sensor.rate_hz) == (9600, ("value-1",), 0.5)
    assert [pipeline.model for pipeline in made.pipeline] == ["parts", "parts", "sensor-forecast", "vibration"]
    assert made.pipeline[3].calibrate_s == 11


def test_a_credential_that_systemd_hands_over_is_named_and_no_password_asked(bundles: Bundles) -> None:
    places = Places(Path("/etc/edged/mqtt.password"), Path("/run/credentials/edged/mqtt"))
    made = answers(Said(username="press-07"), NOTHING, Nobody(), bundles, "edged-0123", places)
    assert 'password_file = "/run/credentials/edged/mqtt"' in made.text()


def test_models_come_from_where_it_is_said_once_somebody_is_trusted(bundles: Bundles, tmp_path: Path) -> None:
    trusted = Places(Path("/etc/edged/mqtt.password"), trust=Path("/etc/edged/trust/root.json"))
    made = answers(Said(updates="https://models.plant.local/"), NOTHING, Nobody(), bundles, "edged-0123", trusted)
    updates = config(made.text(), tmp_path).updates
    assert (updates.repository, updates.trust) == ("https://models.plant.local/", trusted.trust)
    with pytest.raises(ConfigError, match="no root of trust is installed"):
        asked(Said(updates="mqtt"), NOTHING, bundles)


@pytest.mark.parametrize("model", ["parts", "vibration", "camera-health"])
def test_each_sample_is_a_configuration_without_faults(bundles: Bundles, model: str, tmp_path: Path) -> None:
    made = config(asked(Said(samples=(model,)), NOTHING, bundles), tmp_path)
    assert [pipeline.model for pipeline in made.pipeline] == [model]
    assert made.pipeline[0].rule


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (Said(device="Press 7"), "cannot call a box 'Press 7'"),
        (Said(broker="a b"), "cannot use 'a b' as a broker's address"),
        (Said(broker="a:70000"), "cannot use 'a:70000' as a broker's address"),
        (Said(cameras=("/dev/video0",), camera_model="person"), "cannot find model 'person'"),
        (Said(ports=(Path("/dev/ttyUSB0"),), sensor_model="parts"), "it looks at pictures"),
        (Said(cameras=("/dev/video0",), camera_model="vibration"), "it takes samples"),
        (Said(samples=("sensor-forecast",)), "cannot run 'sensor-forecast' on its recording"),
    ],
)
def test_what_cannot_be_used_is_refused(bundles: Bundles, said: Said, words: str) -> None:
    with pytest.raises(ConfigError, match=words.replace("(", r"\(")):
        asked(said, NOTHING, bundles)


def test_an_address_of_ipv6_keeps_its_port(bundles: Bundles) -> None:
    assert 'host = "fe80::1"\nport = 1884' in asked(Said(broker="[fe80::1]:1884"), NOTHING, bundles)


def init(file: Path, *more: str) -> int:
    return main(["config", "init", "--config", str(file), "--yes", "--device", "a", "--state", str(file.parent), *more])


def test_one_document_and_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "edged.toml"
    assert init(file, "--json", "--sysroot", str(build(TREE, tmp_path / "box"))) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["file"], told["kept"], told["service"]) == (str(file), None, None)
    assert told["found"]["cameras"] == [str(CAMERA.path)]
    assert [f"cannot find device {CAMERA.path}" in fault for fault in told["faults"]] == [True]
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith(".edged")] == []


def test_a_configuration_that_is_there_stays_unless_it_is_asked_for_and_is_kept_then(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "edged.toml"
    file.write_text("mine", encoding="utf-8")
    assert init(file, "--sample", "parts") == 2
    assert "run it with --force" in capsys.readouterr().err
    assert file.read_text() == "mine"

    assert init(file, "--sample", "parts", "--force") == 0

    assert file.with_name("edged.toml.old").read_text() == "mine"
    assert load(file).faults == ()


def test_what_edged_check_would_refuse_is_not_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "mine.toml").write_text("[mqtt]\nprot = 1\n", encoding="utf-8")
    file = tmp_path / "edged.toml"
    assert init(file, "--sample", "parts") == 2
    assert "cannot use unknown key 'prot': did you mean 'port'?" in capsys.readouterr().err
    assert [one.name for one in tmp_path.iterdir()] == ["conf.d"]


def test_without_a_terminal_it_does_not_ask(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "init", "--config", str(tmp_path / "edged.toml")]) == 2
    assert "run it with --yes" in capsys.readouterr().err


def test_without_permission_it_tells_the_line_to_copy_before_it_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.access", lambda _place, mode: not mode & os.W_OK)
    assert init(tmp_path / "etc" / "edged.toml") == 2
    assert f"sudo {sys.prefix}/bin/edgectl config init" in capsys.readouterr().err


def test_what_cannot_be_written_down_is_refused_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert init(tmp_path / "edged.toml", "--camera", "/dev/v\udcff") == 2
    assert "is not UTF-8" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("place", "words"), [("", "it is a folder, expected a file"), ("file/edged.toml", "is no folder, expected one")]
)
def test_a_place_that_is_none_is_told_before_anything_is_asked(
    place: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert main(["config", "init", "--config", str(tmp_path / place), "--yes", "--force"]) == 2
    assert words in capsys.readouterr().err


def test_another_machines_files_have_to_be_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert init(tmp_path / "edged.toml", "--sysroot", str(tmp_path / "nowhere")) == 2
    assert "it is no folder" in capsys.readouterr().err


def test_a_link_stays_one_and_what_it_leads_to_is_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    real, link = tmp_path / "site" / "box.toml", tmp_path / "my box" / "edged.toml"
    for file in (real, link):
        file.parent.mkdir()
    real.write_text("mine", encoding="utf-8")
    link.symlink_to(real)

    assert init(link, "--sample", "parts", "--force") == 0

    assert link.is_symlink()
    assert load(real).faults == ()
    assert link.with_name("edged.toml.old").read_text() == "mine"
    assert f"next: edged run --config '{link}'" in capsys.readouterr().out


def test_others_may_read_the_configuration_and_not_change_it(tmp_path: Path) -> None:
    file = tmp_path / "edged.toml"
    init(file)
    assert not stat.S_IMODE(file.stat().st_mode) & (stat.S_IWGRP | stat.S_IWOTH)
