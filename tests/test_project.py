"""What holds the project together: one front door, pinned versions, rules without exceptions that nobody explains."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from edged.config.read import read_toml

ROOT = Path(__file__).resolve().parents[1]
PROJECT = read_toml(ROOT / "pyproject.toml")


def names(requirements: list[str]) -> set[str]:
    found = {re.split(r"[\[<>=!~; ]", one, maxsplit=1)[0] for one in requirements}
    return found - {"edged"}


def test_whatever_checks_the_project_calls_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    lines = [line.split("#")[0].split() for line in (ROOT / ".ci" / "run").read_text("utf-8").splitlines()]
    called = [words[1] for words in lines if words[:1] == ["make"]]
    hooks = re.findall(r"^\s+entry: (.*)$", (ROOT / ".pre-commit-config.yaml").read_text("utf-8"), re.MULTILINE)
    assert called == ["check", "test", "demo"]
    assert set(called) <= targets
    assert hooks == ["make check"]


def test_every_rule_of_the_linter_holds_but_for_those_that_say_why() -> None:
    text = (ROOT / "pyproject.toml").read_text("utf-8").split("[tool.ruff.lint]")[1].split("[tool.ruff.lint.flake8")[0]
    ignored = re.findall(r'^ +"[A-Z0-9]+",(.*)$', text, re.MULTILINE)
    assert PROJECT["tool"]["ruff"]["lint"]["select"] == ["ALL"]
    assert ignored
    assert [rest for rest in ignored if not re.fullmatch(r" +# \S.*", rest)] == []
    assert PROJECT["tool"]["mypy"]["strict"] is True


def test_versions_are_pinned_exactly_and_no_index_is_named() -> None:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pinned = [line for line in lines if line and not line.startswith("#")]
    assert [line for line in pinned if not re.fullmatch(r"[a-zA-Z0-9._-]+==[\w.+!-]+( ; [\w. \"<>=]+)?", line)] == []
    assert not re.search(r"https?:|--(extra-)?index|--find-links|@", "\n".join(lines))
    assert {name.lower() for name in names(PROJECT["project"]["dependencies"])} <= {
        line.split("==")[0].lower() for line in pinned
    }


def test_every_decision_is_written_as_the_template_asks() -> None:
    template, *decisions = sorted((ROOT / "docs" / "adr").glob("*.md"))
    headings = re.findall("^## .*$", template.read_text("utf-8"), re.MULTILINE)
    assert len(headings) == 3
    for file in decisions:
        text = file.read_text("utf-8")
        assert re.findall("^## .*$", text, re.MULTILINE)[: len(headings)] == headings, file.name
        assert re.search(r"^Status: (proposed|accepted|superseded by \d{4})", text, re.MULTILINE), file.name
        assert text.startswith(f"# {file.name[:4]}: "), file.name


@pytest.mark.parametrize("found", ["Python 3.9", ""])
def test_an_old_python_or_none_is_told_in_one_line(tmp_path: Path, found: str) -> None:
    python = tmp_path / "python3"
    if found:
        python.write_text(f'#!/bin/sh\ncase "$2" in *print*) echo "{found}" ;; *) exit 1 ;; esac\n')
        python.chmod(0o755)

    done = subprocess.run(
        ["sh", str(ROOT / "tools" / "requirements.sh")],
        env={**os.environ, "PYTHON": str(python), "VENV": str(tmp_path / "venv")},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"cannot set up edged: {found or f'no {python}'}, expected Python 3.10 or newer; ")
    assert not (tmp_path / "venv").exists()
