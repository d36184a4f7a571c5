"""``edgectl`` itself: what is imported for which verb."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

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
