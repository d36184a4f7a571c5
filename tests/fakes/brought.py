"""Packages as an installer leaves them: a module and the metadata with its entry points."""

from __future__ import annotations

from itertools import count
from pathlib import Path

_NUMBERS = count()


def bring(folder: Path, group: str, name: str, code: str) -> str:
    """Install a package into ``folder`` that brings one thing: ``made`` of a module that holds ``code``; gives the module's name."""
    module = f"brought_{next(_NUMBERS)}"  # each its own, since Python keeps a module that was imported once
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {module}:made\n", encoding="utf-8")
    (folder / f"{module}.py").write_text(code, encoding="utf-8")
    return module
