"""The page about actions: its configuration loads, its command runs, and it names every reason."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from edgectl.cli import main
from edged.config.load import load

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "actions.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(sh|toml)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
BOX = '[device]\nid = "a"\n[state]\ndirectory = "{state}"\n'
PIPELINE = '[[source]]\nname = "dock"\nkind = "camera"\nurl = "/dev/video0"\n[[pipeline]]\nname = "p"\nsource = "dock"\nmodel = "person"\n'


def test_the_configuration_of_the_page_loads_and_its_command_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    actions, rule = (text for kind, text in BLOCKS if kind == "toml")
    file = tmp_path / "edged.toml"
    file.write_text(BOX.format(state=tmp_path / "state") + actions + PIPELINE + rule, encoding="utf-8")
    loaded = load(file)

    assert loaded.faults == ()
    assert [action.kind for action in loaded.config.action] == ["gpio", "command", "serial", "webhook", "publish"]
    (command,) = (text for kind, text in BLOCKS if kind == "sh")
    assert main([*shlex.split(command)[1:], "--config", str(file)]) == 0
    assert "no action was done yet" in capsys.readouterr().out


@pytest.mark.parametrize("code", ["rate-limited", "interlocked", "left-out", "failing", "unaudited"])
def test_the_page_names_each_reason(code: str) -> None:
    assert f"`action-{code}`" in PAGE
