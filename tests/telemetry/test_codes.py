from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import edged
from edged.telemetry.codes import CODES, Code
from edged.telemetry.journal import message_id

PACKAGE = Path(edged.__file__).parent
GRAVE = {"logging.WARNING": "warning", "logging.ERROR": "error", "logging.CRITICAL": "error"}
MADE = {
    "code.replace('-', '.')": {"engine.unbuilt": "warning"},  # edged/assembly/building.py: the others are no warnings
    "f'health.{grade}'": {"health.degraded": "warning", "health.failed": "error"},  # edged/assembly/office.py
}
"""Codes that are made where they are logged, by how."""


@cache
def logged() -> tuple[tuple[str, str, str], ...]:
    """Give (place, code, gravity) of every warning and error in the source."""
    return tuple(_logged())


def _logged() -> Iterator[tuple[str, str, str]]:
    for file in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                place = f"{file.relative_to(PACKAGE.parent)}:{node.lineno}"
                yield from ((place, code, gravity) for code, gravity in codes_of(node, ast.unparse(node.func)))


def codes_of(call: ast.Call, called: str) -> Iterator[tuple[str, str]]:
    if called == "logs.event":
        level = next((ast.unparse(given.value) for given in call.keywords if given.arg == "level"), "")
        made = MADE.get(ast.unparse(call.args[1]))
        if made is not None:
            yield from made.items()
        elif level in GRAVE:
            yield from ((code, GRAVE[level]) for code in texts(call.args[1]))
        else:
            assert level in {"", "logging.DEBUG", "logging.INFO"}, f"{level} is no level that can be read here"
    elif re.fullmatch(r"_?(log|LOG|logger)\.(warning|error|exception|critical)", called):
        gravity = "warning" if called.endswith("warning") else "error"
        yield from ((code, gravity) for code in texts(call.args[0]))


def texts(node: ast.expr) -> tuple[str, ...]:
    if isinstance(node, ast.IfExp):
        return (*texts(node.body), *texts(node.orelse))
    found = ast.literal_eval(node) if isinstance(node, ast.Constant) else f"<{ast.unparse(node)}>"
    # A name that is set above, as in drifting.py, is looked up by its two values.
    return ("drift.found", "drift.over") if found == "<code>" else (str(found),)


def test_every_warning_and_error_that_is_logged_has_a_code_in_the_table() -> None:
    table = {(code.name, code.gravity) for code in CODES}

    missing = [found for found in logged() if found[1:] not in table]
    assert missing == [], "write a row for each into edged/telemetry/codes.py, and run docs/generate.py"


def test_every_code_in_the_table_is_logged_somewhere() -> None:
    assert {code.name for code in CODES} - {code for _, code, _ in logged()} == set()


def test_codes_stand_once_and_in_order() -> None:
    names = [code.name for code in CODES]

    assert names == sorted(set(names))


@pytest.mark.parametrize(
    ("name", "about"), [("Source lost", "It was."), ("source.lost", "no sentence"), ("lost", "It.")]
)
def test_a_code_that_nobody_can_hold_on_to_is_refused(name: str, about: str) -> None:
    with pytest.raises(ValueError, match="expected component"):
        Code(name, "error", about)


def test_the_id_of_a_code_is_the_same_for_ever() -> None:
    assert message_id("source.lost") == "e88702bdab8a45a1b82101cd7b4abcbd"
    assert len({message_id(code.name) for code in CODES}) == len(CODES)
