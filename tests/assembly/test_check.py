from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from edged.assembly.check import Report, check_all
from edged.assembly.state import Lock
from edged.cli import main
from fakes.certificates import Authority
from fakes.daemon import write_config
from fakes.gpiochip import install
from fakes.sensor import csv_source, pipeline, sensor_bundle, write_windows

CAMERA = '[[source]]\nname = "dock"\nkind = "camera"\nurl = "{url}"\n{more}\n'
SYSTEM = '[[source]]\nname = "line"\nkind = "system"\ncolumns = ["cpu"]\n'


@pytest.fixture
def body(tmp_path: Path) -> str:
    """Give a sound source with a pipeline; bundle and recording are there."""
    sensor_bundle(tmp_path / "models" / "level")
    write_windows(tmp_path / "spindle.csv", [1.0])
    return csv_source(tmp_path / "spindle.csv") + pipeline("a")


def told(report: Report) -> dict[str, str]:
    """Give the faults' messages by key."""
    return {fault.key: fault.message for fault in (*report.configuration, *report.faults)}


def test_a_sound_configuration_is_ok(tmp_path: Path, body: str) -> None:
    file = write_config(tmp_path, 1883, body)
    report = check_all(file)
    assert list(report.lines()) == [f"ok: {file}"]
    told = {"schema": "edged.check/1", "ok": True, "files": [str(file)], "relative": [], "faults": []}
    assert report.document() == told
    assert main(["check", "--config", str(file)]) == 0


def test_every_family_of_faults_is_told_at_once(tmp_path: Path, body: str) -> None:
    (tmp_path / "ca").mkdir()
    (tmp_path / "file").touch()
    body += SYSTEM + CAMERA.format(url="/dev/video-absent", more=f'username = "u"\npassword_file = "{tmp_path}/none"')
    body += csv_source(tmp_path / "absent.csv", "gone")
    body += pipeline("stranger", model="unheard-of") + pipeline("pinned", more='pin = "int4"')
    body += '[[pipeline]]\nname = "typo"\nsource = "spindle"\nmodle = "level"\n'
    more = f'password_file = "{tmp_path}/secret"\ntls = {{ ca = "{tmp_path}/ca" }}\n'
    file = write_config(tmp_path, 1883, body, state=tmp_path / "file")
    text = file.read_text().replace("port = 1883\n", f"port = 1883\n{more}")
    file.write_text(text.replace("[state]", 'profile = "rasberry-pi-5"\n[state]'))

    report = check_all(file)

    assert set(told(report)) == {
        "pipeline[3].modle",
        "pipeline[3].model",
        "device.profile",
        "source.line.columns",
        "source.dock.url",
        "source.dock.password_file",
        "source.gone.path",
        "pipeline.stranger.model",
        "pipeline.pinned.pin",
        "mqtt.password_file",
        "mqtt.tls.ca",
        "state.directory",
    }
    assert "raspberry-pi-5" in told(report)["device.profile"]
    assert len(list(report.lines())) == len(report.document()["faults"])
    assert not report.document()["ok"]


@pytest.mark.parametrize(
    ("change", "key", "words"),
    [
        (("[state]", 'profile = "unheard-of"\n[state]'), "device.profile", "cannot find device profile 'unheard-of'"),
        (('kind = "csv"', 'kind = "dance"'), "source[0].kind", "dance"),
        (("[state]", "[stade]"), "stade", "state"),
    ],
)
def test_a_fault_of_the_configuration_ends_with_2(
    tmp_path: Path, body: str, change: tuple[str, str], key: str, words: str
) -> None:
    file = write_config(tmp_path, 1883, body)
    file.write_text(file.read_text().replace(*change))
    faults = {fault.key: fault.message for fault in check_all(file).configuration}
    assert words in faults[key]
    assert main(["check", "--config", str(file)]) == 2


@pytest.mark.parametrize(
    ("more", "key", "words"),
    [
        (pipeline("b", model="unheard-of"), "pipeline.b.model", "cannot find model 'unheard-of', expected one of "),
        (pipeline("b", more='pin = "int4"'), "pipeline.b.pin", "cannot pin variant 'int4', expected one of fp32"),
        (csv_source(Path("/absent.csv"), "b"), "source.b.path", "cannot find /absent.csv, expected a file or folder"),
        (CAMERA.format(url="/dev/video-absent", more=""), "source.dock.url", "cannot find device /dev/video-absent"),
        (
            '[[source]]\nname = "b"\nkind = "images"\npath = "/absent/*.png"\n',
            "source.b.path",
            "cannot find /absent, expected a file or folder",
        ),
    ],
)
def test_a_fault_of_the_box_ends_with_1(tmp_path: Path, body: str, more: str, key: str, words: str) -> None:
    file = write_config(tmp_path, 1883, body + more)
    report = check_all(file)
    assert report.configuration == ()
    assert [fault.key for fault in report.faults] == [key]
    assert words in report.faults[0].message
    assert main(["check", "--config", str(file)]) == 1


@pytest.mark.parametrize(
    ("kind", "more", "told"),
    [
        ("images", "", "no picture, expected files that end in"),
        ("file", "", "expected a video"),
        ("csv", 'columns = ["temp"]\nrate_hz = 10', "temp"),
        ("wav", "rate_hz = 16000", "expected a WAVE file"),
    ],
)
def test_files_that_are_there_and_give_nothing_are_told(
    tmp_path: Path, body: str, kind: str, more: str, told: str
) -> None:
    place = tmp_path / "given"
    if kind == "images":
        place.mkdir()
    else:
        place.write_text("time,value\n1,2\n")
    source = f'[[source]]\nname = "b"\nkind = "{kind}"\npath = "{place}"\n{more}\n'
    (fault,) = check_all(write_config(tmp_path, 1883, body + source)).faults
    assert fault.key == "source.b.path"
    assert told in fault.message


def test_an_altered_bundle_is_told_with_folder_and_pipeline(tmp_path: Path, body: str) -> None:
    weights = tmp_path / "models" / "level" / "model.tflite"
    weights.write_bytes(weights.read_bytes()[:-1])
    faults = check_all(write_config(tmp_path, 1883, body)).faults
    altered = next(fault for fault in faults if "truncated or altered" in fault.message)
    assert (altered.file, altered.pipeline) == (tmp_path / "models" / "level", "a")
    (refused,) = [fault.message for fault in faults if "every variant is refused" in fault.message]
    assert "truncated or altered" in refused
    assert refused.endswith("run: edged explain level")
    assert len(faults) == 2


def test_a_bundle_that_cannot_be_read_is_told_although_nothing_asks_for_it(tmp_path: Path, body: str) -> None:
    broken = sensor_bundle(tmp_path / "models" / "broken", name="broken") / "model.toml"
    broken.write_text(broken.read_text().replace('task = "anomaly"', 'task = "dance"'))
    (fault,) = check_all(write_config(tmp_path, 1883, body)).faults
    assert fault.file == broken.parent
    assert "task" in fault.message


def test_a_broken_profile_of_the_operators_is_told(tmp_path: Path, body: str) -> None:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "mine.toml").write_text("name = 3\n")
    file = write_config(tmp_path, 1883, body, more=f'[profiles]\ndirectories = ["{tmp_path / "profiles"}"]')
    (fault,) = check_all(file).configuration
    assert "mine.toml" in fault.message


def tight(folder: Path, body: str) -> Path:
    """Write a configuration for a board on which nothing has room."""
    (folder / "profiles").mkdir()
    (folder / "profiles" / "tight.toml").write_text(
        'name = "tight"\nprefer = [{ accelerator = "cpu" }]\n[limits]\nmemory_mb = 64\n'
    )
    file = write_config(folder, 1883, body, more=f'[profiles]\ndirectories = ["{folder / "profiles"}"]')
    file.write_text(file.read_text().replace("[device]", '[device]\nprofile = "tight"'))
    return file


def test_a_pipeline_that_the_memory_has_no_room_for_is_named_with_the_sum_and_ends_with_2(
    tmp_path: Path, body: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tight(tmp_path, body)

    assert main(["check", "--config", str(file)]) == 2
    (line,) = capsys.readouterr().out.splitlines()
    assert "pipeline.a: " in line
    assert "MiB, expected at most" in line


def test_the_memory_is_not_summed_up_beside_a_daemon_that_has_done_so(tmp_path: Path, body: str) -> None:
    file = tight(tmp_path, body)
    lock = Lock(tmp_path / "state")

    assert check_all(file).unfit == ()
    lock.release()


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_state_directory_that_can_be_none_is_told(tmp_path: Path, body: str, place: str) -> None:
    (tmp_path / "file").touch()
    (fault,) = check_all(write_config(tmp_path, 1883, body, state=tmp_path / place)).faults
    assert fault.key == "state.directory"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_what_edged_may_not_open_is_told(tmp_path: Path, body: str) -> None:
    (tmp_path / "video").touch(0o000)
    (tmp_path / "closed").mkdir(0o500)
    body += CAMERA.format(url=tmp_path / "video", more="")
    report = check_all(write_config(tmp_path, 1883, body, state=tmp_path / "closed" / "state"))
    assert {fault.key for fault in report.faults} == {"source.dock.url", "state.directory"}


def test_a_camera_by_url_is_not_opened(tmp_path: Path, body: str) -> None:
    file = write_config(tmp_path, 1883, body + CAMERA.format(url="rtsp://192.0.2.1/stream", more=""))
    assert check_all(file).faults == ()


def test_a_file_that_is_no_toml_is_the_only_fault(tmp_path: Path) -> None:
    (tmp_path / "edged.toml").write_text("[device")
    report = check_all(tmp_path / "edged.toml")
    assert (len(report.configuration), report.faults) == (1, ())
    assert main(["check", "--config", str(tmp_path / "edged.toml"), "--json"]) == 2


@pytest.mark.parametrize("place", ["/proc/edged", "/sys/edged/state", "/" + "x" * 300])
def test_a_state_directory_that_cannot_be_made_is_told(tmp_path: Path, body: str, place: str) -> None:
    (fault,) = check_all(write_config(tmp_path, 1883, body, state=Path(place))).faults
    assert fault.key == "state.directory"


def test_looking_at_the_state_directory_leaves_nothing_behind(tmp_path: Path, body: str) -> None:
    file = write_config(tmp_path, 1883, body, state=tmp_path / "var" / "lib" / "edged")
    before = sorted(tmp_path.iterdir())
    assert check_all(file).faults == ()
    assert sorted(tmp_path.iterdir()) == before


def with_tls(tmp_path: Path, body: str, tls: str) -> Path:
    file = write_config(tmp_path, 1883, body)
    file.write_text(file.read_text().replace("port = 1883\n", f"port = 1883\ntls = {{ {tls} }}\n"))
    return file


def test_an_authority_that_is_no_certificate_is_told(tmp_path: Path, body: str) -> None:
    (tmp_path / "ca.pem").write_text("no certificate\n")
    (fault,) = check_all(with_tls(tmp_path, body, f'ca = "{tmp_path / "ca.pem"}"')).faults
    assert fault.key == "mqtt.tls.ca"
    assert fault.message.endswith("no certificate or crl found, expected certificates in PEM")


def test_a_key_of_another_certificate_is_told(tmp_path: Path, body: str) -> None:
    authority = Authority(tmp_path)
    mine, other = authority.sign("mine"), authority.sign("other")
    good = f'ca = "{authority.pair.cert}", cert = "{mine.cert}", key = "{mine.key}"'
    assert check_all(with_tls(tmp_path, body, good)).faults == ()
    (fault,) = check_all(with_tls(tmp_path, body, good.replace(str(mine.key), str(other.key)))).faults
    assert (fault.key, "key values mismatch" in fault.message) == ("mqtt.tls.cert", True)


def test_a_models_directory_that_was_named_and_is_gone_is_told(tmp_path: Path, body: str) -> None:
    file = write_config(tmp_path, 1883, body, models=(tmp_path / "models", tmp_path / "stick"))
    (fault,) = check_all(file).faults
    assert fault.key == "models.directories"
    assert str(tmp_path / "stick") in fault.message


def test_servers_that_ask_and_are_asked_are_looked_at_too(tmp_path: Path, body: str) -> None:
    more = (
        f'[http]\ntoken_file = "{tmp_path}/http"\n[tracing]\ntoken_file = "{tmp_path}/tracing"\n'
        f'[remote.level]\nurl = "http://plant"\nvariant = "huge"\nca = "{tmp_path}/ca"\n[remote.levle]\nurl = "http://plant"\n'
    )
    found = told(check_all(write_config(tmp_path, 1883, body, more=more)))

    assert {key for key in found if key.split(".")[0] in {"http", "tracing", "remote"}} == {
        "http.token_file",
        "tracing.token_file",
        "remote.level.ca",
        "remote.level.variant",
        "remote.levle",
    }
    assert found["remote.level.variant"] == "cannot stand for variant 'huge', expected one of fp32"
    assert found["remote.levle"] == "cannot use it: no pipeline runs this model; did you mean 'level'?"


def test_a_fault_of_a_section_hides_none_of_what_the_sound_ones_name(tmp_path: Path, body: str) -> None:
    file = write_config(tmp_path, 1883, body + pipeline("b", model="unheard-of"))
    file.write_text(file.read_text().replace("port = 1883", "prot = 1883"))
    report = check_all(file)
    assert ([fault.key for fault in report.configuration], report.files) == (["mqtt.prot"], (file,))
    assert [fault.key for fault in report.faults] == ["pipeline.b.model"]


@pytest.mark.parametrize("section", ["[models]", "[state]", "[device]"])
def test_what_a_faulty_section_would_have_to_say_is_not_guessed(tmp_path: Path, body: str, section: str) -> None:
    file = write_config(tmp_path, 1883, body)
    file.write_text(file.read_text().replace(section, f"{section}\nunheard = 1"))
    report = check_all(file)
    assert [fault.key for fault in report.configuration] == [f"{section[1:-1]}.unheard"]
    assert report.faults == ()


def test_paths_that_count_from_where_it_was_run_are_named(
    tmp_path: Path, body: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = write_config(tmp_path, 1883, body)
    file.write_text(file.read_text().replace(f"{tmp_path}/", ""))
    report = check_all(file)
    assert report.document()["relative"] == ["models", "spindle.csv", "state"]
    note = f"note: models, spindle.csv, state: looked for from {tmp_path} on, as edged does from the folder that it is started in"
    assert list(report.lines()) == [f"ok: {file}", note]


ACTION = '[[action]]\nname = "x"\n{more}\n'


@pytest.mark.parametrize(
    ("more", "key", "words"),
    [
        (
            'kind = "gpio"\nline = 1\nchip = "/dev/gpiochip-absent"',
            "chip",
            "cannot find device /dev/gpiochip-absent, expected one; run: ls /dev/gpiochip*",
        ),
        (
            'kind = "publish"\ninterlock = { line = 1, chip = "/dev/gpiochip-absent" }',
            "interlock.chip",
            "cannot find device /dev/gpiochip-absent",
        ),
        (
            'kind = "serial"\ntext = "on"\nport = "/dev/ttyAbsent"',
            "port",
            "cannot find device /dev/ttyAbsent, expected one; run: ls /dev/serial/by-id/*",
        ),
        (
            'kind = "command"\nrun = ["/absent/stop", "--now"]',
            "run",
            "cannot run /absent/stop, expected a program that edged may run; run: ls -l /absent/stop",
        ),
        ('kind = "command"\nrun = ["/etc/passwd"]', "run", "cannot run /etc/passwd"),
        (
            'kind = "webhook"\nurl = "https://a/"\ntoken_file = "/absent/token"',
            "token_file",
            "cannot read /absent/token, expected a file that edged may read",
        ),
        (
            'kind = "webhook"\nurl = "https://a/"\nca = "/etc/passwd"',
            "ca",
            "cannot use /etc/passwd: no certificate or crl found, expected certificates in PEM",
        ),
    ],
)
def test_what_an_action_lacks_is_told_with_its_key_unless_it_is_a_dry_run(
    tmp_path: Path, body: str, more: str, key: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, {})
    file = write_config(tmp_path, 1883, body, more=ACTION.format(more=more))
    (fault,) = check_all(file).faults
    assert (fault.key, fault.message[: len(words)]) == (f"action.x.{key}", words)
    file = write_config(tmp_path, 1883, body, more=ACTION.format(more=f"{more}\ndry_run = true"))
    assert [one.key for one in check_all(file).faults] == ([fault.key] if "interlock" in key else [])


def test_the_library_that_an_action_lacks_is_told_with_what_brings_it(
    tmp_path: Path, body: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gpiod", None)
    lamp = ACTION.format(more=f'kind = "gpio"\nline = 1\nchip = "{tmp_path}"')
    (fault,) = check_all(write_config(tmp_path, 1883, body, more=lamp)).faults
    assert fault.message == (
        "cannot use GPIO lines: gpiod is not installed, expected libgpiod's package; install edged[gpio]"
    )
