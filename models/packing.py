"""What every recipe writes beside its networks: ``model.toml``, golden answers, and the figures in ``README.md``."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FIGURES_MARK = "<!-- figures: written by recipe.py -->"


@dataclass(frozen=True, slots=True)
class File:
    """One variant of a bundle, measured: ``int8.tflite``, or ``small-int8.tflite`` where a bundle has several networks.

    ``own`` is TOML of what this variant has of its own, ``[variant.input]`` for one.
    """

    name: str
    precision: str
    accuracy: float
    own: str = ""

    @property
    def runtime(self) -> str:
        """Tflite or onnx, as the ending says."""
        return self.name.rpartition(".")[2]

    @property
    def id(self) -> str:
        """The network where there are several, the runtime and the precision, as in ``small-tflite-int8``."""
        network = self.name.rpartition(".")[0].removesuffix(self.precision)
        return f"{network}{self.runtime}-{self.precision}"


def write_manifest(folder: Path, head: str, files: Sequence[File], layouts: dict[str, str], measured: str) -> None:
    """Write ``model.toml``: what all variants share, then each variant with its digest.

    Args:
        folder: The bundle.
        head: TOML up to the variants.
        files: The variants, all in ``folder``.
        layouts: The axis order of each runtime's input.
        measured: TOML of ``accuracy`` without its value, as in ``metric = "AUC", on = "holdout"``.
    """
    sections = [head.strip()]
    for file in files:
        digest = hashlib.sha256((folder / file.name).read_bytes()).hexdigest()
        section = (
            f'[[variant]]\nid = "{file.id}"\nfile = "{file.name}"\nsha256 = "{digest}"\n'
            f'runtime = "{file.runtime}"\naccelerators = ["cpu"]\nprecision = "{file.precision}"\n'
            f'layout = "{layouts[file.runtime]}"\naccuracy = {{ {measured}, value = {file.accuracy:.4f} }}\n{file.own}'
        )
        sections.append(section.rstrip())
    (folder / "model.toml").write_text("\n\n".join(sections) + "\n", encoding="utf-8")


def write_answer(path: Path, answer: dict[str, object]) -> None:
    """Write a golden sample's expected answer."""
    path.write_text(json.dumps(answer, indent=1) + "\n", encoding="utf-8")


def write_figures(readme: Path, tables: Sequence[str]) -> None:
    """Replace what follows the mark in the bundle's ``README.md``."""
    kept = readme.read_text(encoding="utf-8").partition(FIGURES_MARK)[0]
    readme.write_text(kept + FIGURES_MARK + "\n\n" + "\n\n".join(tables) + "\n", encoding="utf-8")


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table; floats with three decimals."""
    lines = [header, ["---"] * len(header), *([_cell(value) for value in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
