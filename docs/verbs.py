"""The verbs of edgectl as a reference: every argument and option with its help and its default, as typer knows them."""
# ruff: noqa: INP001 - a script's other half, no package

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import typer

from edgectl.cli import program


def verbs() -> str:
    """Write a section for each verb."""
    return "\n".join(
        _section(path, command) for path, command in _leaves("edgectl", typer.main.get_command(program()))
    ).rstrip()


def _leaves(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    below = getattr(command, "commands", {})
    if not below:
        yield path, command
    for name, one in below.items():
        yield from _leaves(f"{path} {name}", one)


def _section(path: str, command: Any) -> str:
    given = [one for one in command.params if one.name != "help" and not getattr(one, "hidden", False)]
    arguments = [one for one in given if one.param_type_name == "argument"]
    usage = " ".join([path, *(_called(one) for one in arguments)])
    lines = [f"## `{usage}`", "", _flat(command.help)]
    rows = [f"| {_name(one)} | {_flat(getattr(one, 'help', ''))} | {_default(one)} |" for one in given]
    return "\n".join([*lines, *(["", "| | | default |", "|---|---|---|", *rows] if rows else []), ""])


def _called(argument: Any) -> str:
    name = (argument.metavar or argument.name).upper().strip("[].") + ("…" if argument.nargs != 1 else "")
    return name if argument.required else f"[{name}]"


def _name(one: Any) -> str:
    return f"`{_called(one)}`" if one.param_type_name == "argument" else ", ".join(f"`{name}`" for name in one.opts)


def _default(one: Any) -> str:
    if one.required:
        return "needed"
    value = one.default
    if value is None or callable(value) or isinstance(value, bool) or value in ("", (), []):
        return ""
    return f"`{value}`"


def _flat(text: str | None) -> str:
    return " ".join(inspect.cleandoc(text or "").split()).replace("``", "`").replace("|", "\\|")
