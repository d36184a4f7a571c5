"""The page on dependencies names every package that pyproject.toml asks for, extra by extra, and says why it was chosen."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edged.config.read import read_toml

HEADS = {"package", "extra", "`all`"}
"""What is no choice: the tables' first lines, and the extra that only names others."""
ROOT = Path(__file__).resolve().parents[2]
PROJECT = read_toml(ROOT / "pyproject.toml")["project"]
PAGE = (ROOT / "docs" / "dependencies.md").read_text("utf-8")
ROWS = dict(re.findall(r"^\| (.+?) \| (.+?) \|", PAGE, re.MULTILINE))
CHOICES = [cells for cells in re.findall(r"^\| (.+?) \|(.*)\|$", PAGE, re.MULTILINE) if cells[0] not in HEADS]
EXTRAS = {name: needs for name, needs in PROJECT["optional-dependencies"].items() if name not in {"all", "dev"}}


def packages(needs: list[str]) -> set[str]:
    """Give the names alone; edged's own extras have rows of their own."""
    names = {re.split(r"[\[<>=;~! ]", need)[0] for need in needs}
    return names - {"edged"}


def test_what_is_always_needed_has_a_row_each() -> None:
    assert packages(PROJECT["dependencies"]) <= ROWS.keys()


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_is_told_with_each_of_its_packages(extra: str) -> None:
    told = next(packages for names, packages in ROWS.items() if f"`{extra}`" in names)

    assert {name for name in packages(EXTRAS[extra]) if name not in told} == set()


def test_the_extra_for_everything_is_told_as_it_is() -> None:
    (everything,) = PROJECT["optional-dependencies"]["all"]

    assert ROWS["`all`"].split(", ") == everything[len("edged[") : -1].split(",")


@pytest.mark.parametrize(("chosen", "more"), CHOICES, ids=[chosen for chosen, _ in CHOICES])
def test_each_choice_has_its_reason_in_words(chosen: str, more: str) -> None:
    *packages, reason = more.split("|")
    words, names = (set(re.findall(r"[a-z]+", text.lower())) for text in (reason, " ".join([chosen, *packages])))

    assert len(words - names) >= 3, reason
