"""Every verb from outside: one JSON document, exit statuses, and one line for an error."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from fakes.brokers import BrokerProcess, free_port
from fakes.daemon import Run, Said, edged, write_config
from fakes.sensor import csv_source, pipeline, sensor_bundle, write_windows
from fakes.subscriber import Subscriber
from fakes.waiting import until

pytestmark = pytest.mark.slow


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Give a sound configuration of one sensor; no broker listens."""
    sensor_bundle(tmp_path / "models" / "level")
    recording = write_windows(tmp_path / "spindle.csv", range(3))
    return write_config(tmp_path, free_port(), csv_source(recording) + pipeline("a"))


def document(said: Said) -> dict[str, Any]:
    """Read the one document; whatever stands behind it is a fault."""
    read: dict[str, Any] = json.loads(said.out)
    return read


def one_line(said: Said) -> str:
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert line.startswith("edged: ")
    return line


@pytest.mark.parametrize(
    ("arguments", "schema"),
    [
        (("check",), "edged.check/1"),
        (("hardware",), "edged.hardware/1"),
        (("explain", "level"), "edged.explain/1"),
        (("explain", "vibration"), "edged.explain/1"),
        (("models",), "edged.models/1"),
    ],
)
def test_with_json_a_verb_prints_one_document_and_nothing_else(
    config: Path, arguments: tuple[str, ...], schema: str
) -> None:
    said = edged(*arguments, "--config", config, "--json")
    assert (said.status, said.err) == (0, "")
    assert document(said)["schema"] == schema


@pytest.mark.parametrize("arguments", [("check",), ("hardware",), ("explain", "level"), ("models",)])
def test_for_people_it_prints_text(config: Path, arguments: tuple[str, ...]) -> None:
    said = edged(*arguments, "--config", config)
    assert (said.status, said.err) == (0, "")
    assert not said.out.startswith("{")
    assert "None" not in said.out


@pytest.mark.parametrize("verb", ["hardware", "models"])
def test_a_look_around_needs_no_configuration(verb: str) -> None:
    said = edged(verb, "--json")
    assert said.err == ""
    assert document(said)["schema"] == f"edged.{verb}/1"


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "--config", "/absent/edged.toml", "--json"),
        ("run", "--config", "/absent/edged.toml"),
        ("hardware", "--config", "/absent/edged.toml"),
        ("hardware", "--sysroot", "/absent"),
        ("paint",),
        ("run", "--loud"),
        ("demo", "--seconds", "-1"),
        ("demo", "--seconds", "nan"),
        (),
    ],
)
def test_a_wrong_request_ends_with_2(arguments: tuple[str, ...], tmp_path: Path) -> None:
    said = edged(*arguments, env={"STATE_DIRECTORY": str(tmp_path)})
    assert said.status == 2
    assert "Traceback" not in said.err


def test_a_missing_configuration_is_one_line_with_its_path() -> None:
    assert "/absent/edged.toml" in one_line(edged("models", "--config", "/absent/edged.toml"))


def test_check_tells_every_fault_with_file_and_key(config: Path) -> None:
    config.write_text(
        config.read_text()
        + '[[pipeline]]\nname = "typo"\nsource = "spindle"\nmodle = "level"\n'
        + pipeline("stray", source="spindel")
        + pipeline("stranger", model="unheard-of")
    )

    said = edged("check", "--config", config, "--json")

    assert said.status == 2
    faults = document(said)["faults"]
    assert {(fault["file"], fault["key"]) for fault in faults} >= {
        (str(config), "pipeline[1].modle"),
        (str(config), "pipeline[2].source"),
        (str(config), "pipeline.stranger.model"),
    }
    lines = edged("check", "--config", config).out.splitlines()
    assert len(lines) == len(faults)


def test_check_ends_with_1_when_only_the_box_is_at_fault(config: Path) -> None:
    config.write_text(config.read_text() + pipeline("stranger", model="unheard-of"))
    said = edged("check", "--config", config, "--json")
    assert said.status == 1
    assert [fault["of"] for fault in document(said)["faults"]] == ["box"]


def test_an_unreadable_configuration_is_a_fault_and_no_traceback(config: Path) -> None:
    config.write_bytes(b"\xff\xfe[device")
    said = edged("check", "--config", config, "--json")
    assert said.status == 2
    assert str(config) in document(said)["faults"][0]["file"]


def test_an_empty_sysroot_is_a_machine_of_which_nothing_is_known(tmp_path: Path) -> None:
    said = edged("hardware", "--sysroot", tmp_path, "--json")
    assert (said.status, said.err) == (0, "")
    told = document(said)
    assert told["board"] is None
    assert told["memory_mb"]["total"] is None
    assert not any(accelerator["usable"] for accelerator in told["accelerators"])


def test_an_unknown_model_is_one_line_that_names_the_known_ones(config: Path) -> None:
    said = edged("explain", "levle", "--config", config, "--json")
    assert said.status == 1
    assert "level" in one_line(said).split("the bundles are", 1)[1]


def test_explain_refuses_altered_bytes_with_both_digests(config: Path, tmp_path: Path) -> None:
    weights = tmp_path / "models" / "level" / "model.tflite"
    weights.write_bytes(weights.read_bytes()[:-1])

    said = edged("explain", "level", "--config", config, "--json")

    assert (said.status, said.err) == (1, "")
    (variant,) = document(said)["variants"]
    assert variant["verdict"] == "refused"
    assert "truncated or altered" in variant["reason"]
    assert variant["sha256"] in variant["reason"]


def test_explain_takes_the_path_of_a_bundle(tmp_path: Path) -> None:
    sensor_bundle(tmp_path / "elsewhere" / "level")
    said = edged("explain", tmp_path / "elsewhere" / "level", "--json")
    assert (said.status, document(said)["model"]) == (0, "level")


def test_models_tells_a_bundle_that_cannot_be_read_and_ends_with_1(config: Path, tmp_path: Path) -> None:
    broken = sensor_bundle(tmp_path / "models" / "broken", name="broken") / "model.toml"
    broken.write_text(broken.read_text().replace('task = "anomaly"', 'task = "dance"'))
    said = edged("models", "--config", config, "--json")
    assert (said.status, said.err) == (1, "")
    (refused,) = document(said)["refused"]
    assert refused["folder"].endswith("broken")
    assert "task" in refused["faults"][0]


@pytest.mark.parametrize("verb", ["check", "models"])
def test_a_folder_whose_name_is_no_text_is_told(verb: str, config: Path, tmp_path: Path) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path / "models") + b"/odd\xff"))
    odd.mkdir()
    (odd / "model.toml").write_text("name = 1")
    for env in ({"PYTHONUTF8": "1"}, {"PYTHONUTF8": "0", "LC_ALL": "C"}):
        said = edged(verb, "--config", config, "--json", env=env)
        assert (said.status, said.err) == (1, "")
        assert "odd\udcff" in json.dumps(document(said), ensure_ascii=False)


def test_a_verb_whose_reader_left_ends_quietly() -> None:
    program = (
        "import os, sys\n"
        "from edged.cli import main\n"
        "reader, writer = os.pipe()\n"
        "os.close(reader)\n"
        "os.dup2(writer, 1)\n"
        "raise SystemExit(main(sys.argv[1:]))\n"
    )
    said = edged("hardware", "--json", program=(sys.executable, "-c", program))
    assert "Traceback" not in said.err
    assert "Exception ignored" not in said.err


@pytest.mark.parametrize("arguments", [("hardware",), ("explain", "vibration", "--json"), ("check",)])
def test_an_answer_that_finds_no_room_is_one_line(arguments: tuple[str, ...]) -> None:
    program = (
        "import os, sys\n"
        "from edged.cli import main\n"
        "os.dup2(os.open('/dev/full', os.O_WRONLY), 1)\n"
        "raise SystemExit(main(sys.argv[1:]))\n"
    )
    said = edged(*arguments, program=(sys.executable, "-c", program))
    assert said.status == 1
    assert "cannot write the answer: No space left on device" in one_line(said)


def test_the_version_is_told() -> None:
    said = edged("--version")
    assert said.status == 0
    assert said.out.startswith("edged ")


WITNESS = """
import sys
from edged.cli import main
status = main()
print(*sorted({name.split(".")[0] for name in sys.modules} & {"cv2", "av", "onnxruntime", "ai_edge_litert"}))
raise SystemExit(status)
"""


@pytest.mark.parametrize(("runtime", "loaded"), [("tflite", "ai_edge_litert"), ("onnx", "onnxruntime")])
def test_a_box_with_sensors_only_loads_neither_camera_libraries_nor_the_other_runtime(
    broker: BrokerProcess, fleet: Subscriber, run: Run, tmp_path: Path, runtime: str, loaded: str
) -> None:
    sensor_bundle(tmp_path / "models" / "level", runtime=runtime)
    recording = write_windows(tmp_path / "spindle.csv", range(3))
    config = write_config(tmp_path, broker.port, csv_source(recording) + pipeline("a"))

    daemon = run(config, program=(sys.executable, "-c", WITNESS))

    assert daemon.wait() == 0
    until(lambda: len(fleet.of("result/a")) == 3, "its results")
    assert daemon.said().splitlines()[-1] == loaded
