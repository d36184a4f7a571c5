"""The examples of docs/workshop.md, run one after the other as they stand."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from edgectl.cli import main

pytest.importorskip("ai_edge_quantizer", reason="needs edged[workshop]")
pytestmark = [pytest.mark.assets, pytest.mark.slow]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "workshop.md"
COMMANDS = [
    line
    for block in re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    for line in block.splitlines()
]


def test_every_example_of_the_page_runs(
    assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(assets / "images", "pictures")
    shutil.copy(assets / "models" / "vww_96_float.tflite", "person.tflite")
    shutil.copy(assets / "models" / "vww_96_int8.tflite", "other.tflite")
    Path("labels.txt").write_text("nobody\nperson\n", encoding="utf-8")
    assert {shlex.split(line)[2] for line in COMMANDS} == {"new", "quantize", "show", "verify", "pack"}
    for line in COMMANDS:
        assert main(shlex.split(line)[1:]) == 0, f"{line}: {capsys.readouterr()}"
    assert Path("person-1.0.0.edgemodel").is_file()
    assert Path("person.png").is_file()
