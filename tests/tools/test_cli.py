"""``edgectl`` itself: what is imported for which verb."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import edged
from edgectl.cli import VERBS, main

LOADED = """
import json, sys
from edgectl.cli import main
status = main(sys.argv[1:])
print(json.dumps(sorted(name for name in sys.modules if name.startswith("edgectl."))))
"""


def loaded(*words: str) -> set[str]:
    done = subprocess.run([sys.executable, "-c", LOADED, *words], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_a_verb_costs_no_other_verbs_modules() -> None:
    others = {module for name, module in VERBS if name != "coverage"}
    modules = loaded("coverage", "--help")
    assert "edgectl.coverage" in modules
    assert modules & others == set()


def test_the_help_page_names_every_verb_with_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    page = capsys.readouterr().out
    rows = [line.strip("│ ").split() for line in page.splitlines()]
    told = {row[0]: len(row) for row in rows if row}
    assert {name for name, _ in VERBS if told.get(name, 0) > 1} == {name for name, _ in VERBS}


def test_a_misspelt_verb_is_told_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["covrage"]) == 2
    assert "Did you mean 'coverage'?" in capsys.readouterr().err


def test_verbs_stand_in_the_order_of_their_names() -> None:
    names = [name for name, _ in VERBS]
    assert names == sorted(names)


def test_a_version_is_told_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.split()[0] == "edgectl"


def imported(file: Path) -> Iterator[str]:
    """Name what a file imports, wherever in it."""
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def test_the_daemon_imports_nothing_that_the_tools_are_made_of() -> None:
    (place,) = edged.__path__
    # Nor the demo, which draws its table with rich, nor the models' recipes, which the wheel carries in share/.
    files = [file for file in Path(place).rglob("*.py") if not {"demo", "share"} & set(file.relative_to(place).parts)]
    assert len(files) > 100
    tools = {"typer", "click", "rich", "matplotlib", "edgectl"}
    found = {file.name: {name.partition(".")[0] for name in imported(file)} & tools for file in files}
    assert {name: names for name, names in found.items() if names} == {}
