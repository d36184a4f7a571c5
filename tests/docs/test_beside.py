"""The pages about Home Assistant and Sparkplug: their configurations load, their commands run, and their tables are the code's."""

from __future__ import annotations

import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest

from edgectl.cli import main
from edged.config.load import load
from edged.sinks.homeassistant import Facts, discovery

DOCS = Path(__file__).resolve().parents[2] / "docs"
BLOCK = re.compile(r"^```(sh|toml)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PIPELINE = """
[[source]]
name = "dock"
kind = "camera"
url = "/dev/video0"
[[pipeline]]
name = "people"
source = "dock"
model = "person"
"""


def blocks(page: str, language: str) -> list[str]:
    return [text for kind, text in BLOCK.findall((DOCS / page).read_text(encoding="utf-8")) if kind == language]


@pytest.mark.parametrize("page", ["home-assistant.md", "sparkplug.md"])
def test_each_configuration_of_the_page_loads(page: str, tmp_path: Path) -> None:
    for text in blocks(page, "toml"):
        (tmp_path / "edged.toml").write_text(f'[device]\nid = "a"\n{text}{PIPELINE}', encoding="utf-8")
        assert load(tmp_path / "edged.toml").faults == ()


def test_the_commands_about_the_broker_do_what_they_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["fleet", "broker", "init", "broker"]) == 0
    for line in "".join(blocks("home-assistant.md", "sh") + blocks("sparkplug.md", "sh")[1:]).splitlines():
        assert main(shlex.split(line)[1:]) == 0
    made = {file.name for file in (tmp_path / "broker" / "passwords").iterdir()}
    assert {"press-01", "homeassistant", "press-01-sparkplug"} <= made


def test_the_page_names_each_kind_of_entity() -> None:
    page = (DOCS / "home-assistant.md").read_text(encoding="utf-8")
    components = discovery(Facts("a", "1", None, {"people": {"at-the-gate": False}}))["components"].values()
    names = {one["name"].removeprefix("people ") for one in components}
    assert {name for name in names if name not in page} == set()


def test_the_page_names_each_metric_and_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(DOCS.parent / "tools" / "edged-sparkplug")
    page = (DOCS / "sparkplug.md").read_text(encoding="utf-8")
    metrics, options = import_module("edged_sparkplug.metrics"), import_module("edged_sparkplug.options")
    names = [row.name for row in (*metrics.NODE, *metrics.PIPELINE)] + list(options.Options.model_fields)
    assert [name for name in names if f"`{name}`" not in page] == []


def test_the_package_is_installed_as_the_page_says() -> None:
    line = blocks("sparkplug.md", "sh")[0]
    program, verb, place = line.split()
    assert (program, verb) == ("pip", "install")
    assert (DOCS.parent / place / "pyproject.toml").is_file()
