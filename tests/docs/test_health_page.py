"""docs/reference/health.md has a row for every code of a reason, found in the source by how reasons, troubles and errors are made."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import edged

PAGE = Path(__file__).resolve().parents[2] / "docs" / "templates" / "health.md"
ROW = re.compile(r"\| `([a-z]+(?:-[a-z]+)*)` \| [^|]+ \| [^|]+\. \|(?: [^|]+)? \|")
PACKAGE = Path(edged.__file__).parent
NEVER_REASONS = {"RetryableError", "RejectedError", "RefusedError"}
"""Orders and requests that were refused: out/update and the answer have their codes; health has ``order-unjudged``."""
MADE = {
    "api/server.py": r"http-(down|token)",
    "assembly/passed_over.py": r"model-refused|models-directory-absent",
    "assembly/planner.py": r"config",
    "daemon.py": r"reload-refused|report-failed",
    "fleet/refusal.py": r"(broker|certificate)-[a-z-]+",
    "fleet/trouble.py": r"outbox-[a-z-]+",
    "pipeline/sight.py": r"(frozen|black)-picture",
    "pipeline/worker.py": r"paused|internal",
    "sources/faults.py": r"camera-[a-z]+",
    "sources/gstreamer.py": r"camera-[a-z]+",
    "sources/modbus.py": r"modbus-(?!poll$)[a-z-]+",
    "sources/serial.py": r"serial-[a-z]+",
    "sources/udp.py": r"udp-[a-z]+",
}
"""Where a code comes from a table, or as an argument: which of the file's texts are codes."""
ACTIONS = ("assembly/runner.py", "sinks/actuate.py")
"""``action-`` and what was the matter: first argument of ``_trouble``, second of a ``Verdict``."""
OPENING = "a variant that does not open: the message of device, bundle, variant-fallback or model-refused has the words"
UPDATE = "of an order: out/update has it"
ACTION = "of an action: action-failing has the words"
NOT_TOLD = {
    **dict.fromkeys(("device-absent", "device-busy", "device-failed", "engine-stale", "engine-uncompiled"), OPENING),
    **dict.fromkeys(("engine-unkept", "memory-short", "operator", "runtime-broken", "runtime-crashed"), OPENING),
    **dict.fromkeys(("runtime-mismatch", "runtime-missing", "sandbox"), OPENING),
    **dict.fromkeys(("delta", "opening", "shadow", "trust", "rejected", "retryable", "state-loop"), UPDATE),
    **dict.fromkeys(("command", "gpio", "outbox-full", "serial", "webhook"), ACTION),
    "busy": "a pipeline waits, and one that runs goes on: model-kept",
    "outbox-locked": "the daemon does not start",
}
"""Codes of errors that nobody finds in health, and why."""


@cache
def sources() -> dict[str, ast.Module]:
    files = sorted(PACKAGE.rglob("*.py"))
    return {str(file.relative_to(PACKAGE)): ast.parse(file.read_text(encoding="utf-8")) for file in files}


@cache
def constants() -> dict[str, dict[str, str]]:
    """Give each file's names of texts; below "" those of all files, for what is imported."""
    found: dict[str, dict[str, str]] = {"": {}}
    for place, tree in sources().items():
        found[place] = dict(pair for node in tree.body if isinstance(node, ast.Assign) for pair in named(node))
        found[""] |= found[place]
    return found


def named(node: ast.Assign) -> Iterator[tuple[str, str]]:
    target, value = node.targets[0], node.value
    pairs = zip(target.elts, value.elts, strict=True) if both_tuples(target, value) else [(target, value)]
    for name, text in pairs:
        if isinstance(name, ast.Name) and isinstance(text, ast.Constant) and isinstance(text.value, str):
            yield name.id, text.value


def both_tuples(target: ast.expr, value: ast.expr) -> bool:
    return isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple)


@cache
def told() -> dict[str, str]:
    """Give every code that the source makes, and where."""
    found: dict[str, str] = {}
    for place, tree in sources().items():
        for node in ast.walk(tree):
            for code in (*of_call(node, place), *of_class(node, place), *of_table(node, place)):
                found.setdefault(code, f"edged/{place}:{getattr(node, 'lineno', 0)}")
    return found


def of_call(node: ast.AST, place: str) -> Iterator[str]:
    if not isinstance(node, ast.Call):
        return
    called = ast.unparse(node.func)
    if called == "Reason" or (called == "Trouble" and place.startswith("fleet/")):
        yield from texts(node.args[0], place)
    elif place in ACTIONS and called in {"self._trouble", "Verdict"} and len(node.args) > 1:
        yield from (f"action-{code}" for code in texts(node.args[called == "Verdict"], place))
    elif called.endswith("Error") and called not in NEVER_REASONS:
        yield from (code for given in node.keywords if given.arg == "code" for code in texts(given.value, place))


def of_class(node: ast.AST, place: str) -> Iterator[str]:
    if isinstance(node, ast.ClassDef) and node.name.endswith("Error"):
        for line in node.body:
            if isinstance(line, ast.Assign) and ast.unparse(line.targets[0]) == "code":
                yield from texts(line.value, place)


def of_table(node: ast.AST, place: str) -> Iterator[str]:
    if place in MADE and isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield from re.findall(rf"\A(?:{MADE[place]})\Z", node.value) and [node.value]


def texts(node: ast.expr, place: str) -> Iterator[str]:
    """Give the codes that an expression may be; none where it hands on another's, or the file has a table."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.IfExp(body=one, orelse=other):
            yield from (*texts(one, place), *texts(other, place))
        case ast.Name(id=name) if name in constants()[place] or (name.isupper() and name in constants()[""]):
            yield constants()[place].get(name) or constants()[""][name]
        case ast.Attribute(attr="code") | ast.Subscript(slice=ast.Constant(value="code")):
            return
        case _:
            known = place in MADE or place in ACTIONS
            assert known, f"edged/{place}:{node.lineno}: say in MADE which texts {ast.unparse(node)!r} may be"


def rows() -> list[str]:
    """Give the codes of the page's table, in its order."""
    lines = PAGE.read_text(encoding="utf-8").partition("## Codes of reasons")[2].splitlines()
    found = [(line, ROW.fullmatch(line)) for line in lines if line.startswith("| `")]
    assert [line for line, match in found if match is None] == [], "expected code, component, a sentence, what to do"
    return [match.group(1) for _, match in found if match is not None]


def test_every_code_that_health_may_give_has_its_row() -> None:
    missing = {code: place for code, place in told().items() if code not in {*rows(), *NOT_TOLD}}

    assert missing == {}, "write a row for each into docs/templates/health.md, and run docs/generate.py"


def test_every_row_is_a_code_that_the_source_makes() -> None:
    assert set(rows()) - told().keys() == set()


def test_what_is_left_out_is_made_and_stands_in_no_row() -> None:
    assert NOT_TOLD.keys() - told().keys() == set()
    assert NOT_TOLD.keys() & set(rows()) == set()


def test_codes_of_reasons_stand_once_and_in_order() -> None:
    assert rows() == sorted(set(rows()))
