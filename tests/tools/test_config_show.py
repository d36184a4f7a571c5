"""``edgectl config show`` and ``migrate`` on files that a test wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgectl.cli import main

MAIN = """\
[device]
id = "press-07"

[mqtt]
host = "broker"
password_file = "{folder}/password"
tls = {{ ca = "/etc/ca.pem" }}

[[source]]
name = "dock"
kind = "camera"
url = "rtsp://10.0.0.7/stream?key=canary-1"

[[pipeline]]
name = "gate"
source = "dock"
model = "parts"
pin = "tflite-int8"  # the small board
"""
MORE = """\
[mqtt]
host = "other"

[[pipeline]]
name = "gate"
priority = 10
"""


@pytest.fixture
def box(tmp_path: Path) -> Path:
    """Give a configuration of two files, with a password that nobody may see."""
    (tmp_path / "password").write_text("canary-0", encoding="utf-8")
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "site.toml").write_text(MORE, encoding="utf-8")
    file = tmp_path / "edged.toml"
    file.write_text(MAIN.format(folder=tmp_path), encoding="utf-8")
    return file


def shown(file: Path, capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, dict[str, Any]]:
    main(["config", "show", "--config", str(file), "--json", *more])
    return {row["key"]: row for row in json.loads(capsys.readouterr().out)["values"]}


def test_each_value_tells_the_file_and_line_that_stands(box: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = shown(box, capsys)
    site = str(box.parent / "conf.d" / "site.toml")
    at = {key: (row["value"], row["from"], row["line"]) for key, row in rows.items()}
    assert at["device.id"] == ("press-07", str(box), 2)
    assert at["mqtt.host"] == ("other", site, 2)
    assert at["mqtt.tls.ca"] == ("/etc/ca.pem", str(box), 7)
    assert at["mqtt.port"] == (8883, "default", None)
    assert at["pipeline.gate.priority"] == (10, site, 6)
    assert at["pipeline.gate.model"] == ("parts", str(box), 17)
    assert at["telemetry.interval_s"] == (10.0, "default", None)


def test_no_secret_is_shown(box: Path, capsys: pytest.CaptureFixture[str]) -> None:
    box.write_text(
        box.read_text() + 'password = "canary-2"\n[http]\ntoken = "canary-3"\n[engine.x]\napi_key = "canary-4"\n',
        "utf-8",
    )
    for form in ([], ["--json"]):
        assert main(["config", "show", "--config", str(box), *form]) == 1
        said = capsys.readouterr()
        assert "canary" not in said.out + said.err
        assert "(not shown)" in said.out


def test_user_information_in_an_address_is_not_shown(box: Path, capsys: pytest.CaptureFixture[str]) -> None:
    box.write_text(box.read_text().replace("rtsp://", "rtsp://canary:canary@"), encoding="utf-8")
    assert shown(box, capsys)["source.dock.url"]["value"] == "rtsp://…@10.0.0.7/stream?key=…"


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["people", "programs"])
def test_no_secret_is_shown_in_a_list_or_in_a_pipeline_s_text(
    box: Path, capsys: pytest.CaptureFixture[str], form: list[str]
) -> None:
    more = """
[[source]]
name = "gst"
url = 'rtspsrc location=rtsp://h user-id=viewer user-pw="canary 5" ! appsink'
[far]
urls = ["http://a:canary@h", "http://h/?api_key=canary"]
headers = [{ Authorization = "Bearer canary" }]
"""
    box.write_text(box.read_text() + more, encoding="utf-8")
    main(["config", "show", "--config", str(box), *form])
    said = capsys.readouterr()
    assert "canary" not in said.out + said.err
    assert "user-id=viewer user-pw=… ! appsink" in said.out


def test_faults_are_told_beside_what_the_files_say(box: Path, capsys: pytest.CaptureFixture[str]) -> None:
    box.write_text(box.read_text().replace("[mqtt]", "[mqtt]\nprot = 1"), encoding="utf-8")
    assert main(["config", "show", "--config", str(box)]) == 1
    said = capsys.readouterr()
    assert "mqtt.prot: cannot use unknown key 'prot'" in said.err
    assert "mqtt.prot" in said.out


def test_defaults_can_be_left_out(box: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = shown(box, capsys, "--only-set")
    assert "default" not in {row["from"] for row in rows.values()}
    assert len(rows) == 12


def test_a_file_that_is_no_toml_is_told_with_its_line(box: Path, capsys: pytest.CaptureFixture[str]) -> None:
    box.write_text("[device\n", encoding="utf-8")
    assert main(["config", "show", "--config", str(box)]) == 2
    assert "line 1" in capsys.readouterr().err


def migrate(file: Path, *more: str) -> int:
    return main(["config", "migrate", "--config", str(file), *more])


def test_a_pin_of_the_first_parts_becomes_its_like_in_the_second(box: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = box.read_text()
    assert migrate(box) == 0
    assert box.read_text() == before.replace('"tflite-int8"', '"small-tflite-int8"')
    assert box.with_name("edged.toml.old").read_text() == before
    assert f"{box}:18: pipeline[0].pin tflite-int8 -> small-tflite-int8" in capsys.readouterr().out
    assert main(["config", "show", "--config", str(box)]) == 0


def test_it_is_done_once(box: Path, capsys: pytest.CaptureFixture[str]) -> None:
    migrate(box)
    capsys.readouterr()
    assert migrate(box) == 0
    assert capsys.readouterr().out.startswith("nothing to migrate: ")


def test_a_dry_run_shows_the_difference_and_writes_nothing(box: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = box.read_text()
    assert migrate(box, "--dry-run") == 0
    out = capsys.readouterr().out
    assert '-pin = "tflite-int8"  # the small board\n+pin = "small-tflite-int8"  # the small board\n' in out
    assert box.read_text() == before
    assert not box.with_name("edged.toml.old").exists()


def test_the_json_tells_each_change(box: Path, capsys: pytest.CaptureFixture[str]) -> None:
    migrate(box, "--json", "--dry-run")
    told = json.loads(capsys.readouterr().out)
    assert (told["written"], [(one["line"], one["new"]) for one in told["changes"]]) == (
        False,
        [(18, "small-tflite-int8")],
    )


def test_a_pin_in_a_later_file_is_found_there(box: Path) -> None:
    site = box.parent / "conf.d" / "site.toml"
    site.write_text(site.read_text() + "pin = 'onnx-fp32'\n", encoding="utf-8")
    before = box.read_text()
    migrate(box)
    assert site.read_text().endswith("pin = 'small-onnx-fp32'\n")
    assert box.read_text() == before


def test_pins_of_other_models_stay(box: Path, capsys: pytest.CaptureFixture[str]) -> None:
    box.write_text(box.read_text().replace('"parts"', '"vibration"'), encoding="utf-8")
    migrate(box)
    assert capsys.readouterr().out.startswith("nothing to migrate: ")


def test_what_is_written_in_another_way_is_left_to_a_person(box: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = box.read_text().replace('pin = "tflite-int8"', 'pin = "tflite\\u002dint8"')
    box.write_text(before, encoding="utf-8")
    assert migrate(box) == 2
    assert "write 'small-tflite-int8' there by hand" in capsys.readouterr().err
    assert box.read_text() == before
