"""What holds of each verb for people at a box: a document for programs, a page whose lines are executed, a word for what is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from edgectl.cli import main, program

PAGES = Path(__file__).resolve().parents[2] / "docs"
FIELD = (
    *("audit", "camera", "config", "coverage", "doctor", "history", "install", "record", "replay", "serial", "support"),
    *("uninstall", "watch"),
)
"""The verbs of whoever stands at a box; the others are of the fleet's and of the models' keepers."""


def leaves(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Give each command at the end of its words."""
    below = getattr(command, "commands", {})
    for name, one in below.items():
        yield from leaves(one, (*words, name))
    if not below:
        yield words, command


COMMANDS = {words: one for words, one in leaves(typer.main.get_command(program())) if words[0] in FIELD}


def executed() -> set[str]:
    """Give the lines about edgectl in the pages; each page has a test that executes them."""
    texts = (page.read_text(encoding="utf-8") for page in PAGES.rglob("*.md"))
    blocks = (block for text in texts for block in re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE))
    return {line.partition("edgectl ")[2] for block in blocks for line in block.splitlines() if "edgectl " in line}


def test_the_verbs_are_known() -> None:
    assert {words[0] for words in COMMANDS} == set(FIELD)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_each_gives_one_document_for_programs(words: tuple[str, ...]) -> None:
    options = {option for one in COMMANDS[words].params for option in one.opts}
    assert "--json" in options


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_each_stands_on_a_page(words: tuple[str, ...]) -> None:
    verb = " ".join(words)
    assert any(f"{line} ".startswith(f"{verb} ") for line in executed())


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_each_says_what_it_takes_and_refuses_what_it_does_not(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--help"]) == 0
    assert "--help" in capsys.readouterr().out
    assert main([*words, "--nonsense"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "No such option: --nonsense" in said.err
