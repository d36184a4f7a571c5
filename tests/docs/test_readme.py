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


def test_every_file_that_a_page_links_is_there() -> None:
    pages = [
        ROOT / "README.md",
        ROOT / "CHANGELOG.md",
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "docs" / "reference").glob("*.md"),
    ]
    pages += [
        *(ROOT / "docs" / "adr").glob("*.md"),
        *(ROOT / "models").rglob("*.md"),
        *(ROOT / "benchmarks").glob("*.md"),
    ]
    links = [(page, link) for page in pages for link in re.findall(r"\]\(([^)#\s]+)", page.read_text("utf-8"))]
    gone = [(page.name, link) for page, link in links if ":" not in link and not (page.parent / link).exists()]

    assert len(links) > 100
    assert gone == []


def test_every_page_is_linked_from_the_readme_or_from_a_page_that_is() -> None:
    found, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in found:
            continue
        found.add(page)
        links = re.findall(r"\]\(([^)#\s]+\.md)", page.read_text("utf-8"))
        waiting += [there for link in links if (there := (page.parent / link).resolve()).exists()]

    pages = {*(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "reference").glob("*.md")}
    assert sorted(page.name for page in pages - found) == []
