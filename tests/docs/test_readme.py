from __future__ import annotations

import re
from pathlib import Path

from edged.config.load import load

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_configuration_in_the_readme_has_no_fault(tmp_path: Path) -> None:
    (example,) = blocks("toml")
    file = tmp_path / "edged.toml"
    file.write_text('[device]\nid = "a-box"\n' + example, encoding="utf-8")
    assert load(file).faults == ()


def test_the_readme_begins_with_the_two_commands_that_the_makefile_has() -> None:
    targets = re.findall(r"^make ([a-z-]+)", blocks("sh")[0], re.MULTILINE)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert targets == ["demo", "test"]
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


def test_every_file_that_the_readme_links_is_there() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert [link for link in links if not (ROOT / link).exists()] == []
