"""``edged explain``: the ladder of a model on this box, or on another from its captured files and recorded figures."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from edged.assembly import levels
from edged.assembly.box import survey_for
from edged.assembly.opening import Opening
from edged.config.faults import explain
from edged.config.schema import Config, Objective
from edged.control.figures import read_measured
from edged.domain.bundle import Bundle
from edged.domain.errors import ConfigError
from edged.domain.figures import Measured

SCHEMA = "edged.explain/1"


def explained(bundle: Bundle, config: Config, root: Path, figures: Path | None, asked: str | None) -> dict[str, Any]:
    """Give the document.

    Args:
        bundle: the model.
        config: which profile is wanted, and what its pipelines with this model ask for.
        root: ``/``, or where another machine's files hang from.
        figures: a ``benchmarks.json`` to take instead of what is known here.
        asked: an objective (``latency_ms=80,prefer=latency``) instead of the first such pipeline's.

    Raises:
        ConfigError: for a file or an objective that cannot be used.
    """
    box = replace(survey_for(config, root), remotes=config.remote)
    if figures is not None:
        box = replace(box, recorded=read_figures(figures))
    pipeline = next((one for one in config.pipeline if one.model == bundle.manifest.name), None)
    objective = pipeline.objective if pipeline else Objective()
    if asked is not None:
        objective = read_objective(asked)
    whole = Opening(box).ladder(bundle, pipeline.pin if pipeline else None, objective)
    return {"schema": SCHEMA, **levels.ladder(whole, objective)}


def read_objective(text: str) -> Objective:
    """Read ``key=value`` pairs with commas between them. Raises ConfigError with the first fault."""
    pairs = [part.partition("=") for part in text.split(",")]
    document = {key.strip(): _value(value.strip()) for key, _, value in pairs}
    try:
        return Objective.model_validate(document)
    except ValidationError as error:
        path, line = next(iter(explain(error, [Objective], document)))
        message = f"cannot use objective {text!r}: {'.'.join(map(str, path))}: {line}"
        raise ConfigError(message, remedy="write it as latency_ms=80,fps=10,prefer=accuracy") from error


def read_figures(file: Path) -> tuple[Measured, ...]:
    """Read a file of figures. Raises ConfigError when it cannot be used."""
    try:
        return read_measured(json.loads(file.read_bytes()))
    except OSError as error:
        message = f"cannot read figures {file}: {error.strerror}, expected a benchmarks.json"
        raise ConfigError(message) from error
    except ValueError as error:
        message = f"cannot use figures {file}: {error}"
        raise ConfigError(message) from error


def _value(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
