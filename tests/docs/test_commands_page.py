"""The pages on commands name every verb of ``edged`` with its options; over MQTT every verb with what it takes, and every code."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from types import ModuleType

import pytest

from edged import cli
from edged.assembly import orders, supporting
from edged.control import command
from edged.control.command import VERBS

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference"
PAGE = (REFERENCE / "commands-mqtt.md").read_text("utf-8")


def codes(module: ModuleType) -> set[str]:
    """Give the codes with which a module refuses: first arguments of ``Refused``, second of ``_refused``, and ``code=``."""
    found = set()
    for call in (node for node in ast.walk(ast.parse(inspect.getsource(module))) if isinstance(node, ast.Call)):
        name = getattr(call.func, "id", "")
        given = call.args[:1] if name == "Refused" else call.args[1:2] if name == "_refused" else []
        given += [one.value for one in call.keywords if one.arg == "code"]
        found |= {
            one.value for one in given if isinstance(one, ast.Constant) and isinstance(one.value, str) and one.value
        }
    return found


@pytest.mark.parametrize("module", [command, orders, supporting])
def test_every_code_of_an_answer_is_told(module: ModuleType) -> None:
    assert codes(module)
    assert {code for code in codes(module) if f"`{code}`" not in PAGE} == set()


def test_every_verb_is_told_with_what_it_takes() -> None:
    rows = re.findall(r"^\| `([a-z]+)` \| ([a-z`, ]*)\|", PAGE, re.MULTILINE)
    told = {verb: frozenset(re.findall(r"`([a-z]+)`", takes)) for verb, takes in rows if verb in VERBS}

    assert told == {name: verb.args for name, verb in VERBS.items()}


def test_every_verb_of_edged_is_told_with_its_options() -> None:
    page = (REFERENCE / "commands.md").read_text("utf-8").split("\n## ")[0]
    told = {
        verb: frozenset(re.findall(r"--[a-z-]+", usage))
        for verb, usage in re.findall(r"^\| `edged ([a-z]+)([^`]*)`", page, re.MULTILINE)
    }

    flags = {
        name: {flag for names, _ in options for flag in names if flag.startswith("--")}
        for name, _, _, options in cli.VERBS
    }
    assert told == flags
