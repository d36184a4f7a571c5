"""Why a model that lies in a folder does not run, in the words of ``out/health``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from edged.config.schema import Config
from edged.domain.errors import EdgedError
from edged.domain.health import Reason
from edged.update.updater import Standing

CODE, ABSENT = "model-refused", "models-directory-absent"
Key = tuple[str, str]
"""A reason's code and component."""


def expected_folders(config: Config) -> tuple[Path, ...]:
    """Give the folders of models that the operator named: these shall be there. The default one need not be."""
    return config.models.directories if "directories" in config.models.model_fields_set else ()


def model_reasons(standing: Standing, since_ns: Mapping[Key, int], now_ns: int) -> list[Reason]:
    """Give a reason for each bundle that was refused, postponed, quarantined or not even readable, and for each folder that is gone.

    ``since_ns`` is since when each is known; what it does not hold is new ``now_ns``.
    """
    return [
        Reason(code, component, message, since_ns.get((code, component), now_ns), remedy)
        for code, component, message, remedy in _told(standing)
    ]


def _told(standing: Standing) -> Iterator[tuple[str, str, str, str]]:
    for folder in standing.absent:
        message = f"cannot read the models directory {folder}: it is gone, expected a folder of bundles; models that ran stay as they are"
        yield (
            ABSENT,
            f"models:{folder}",
            message,
            "mount or restore it, or take it out of [models] directories, and reload",
        )
    live = {one.model: one.pointer.active.version for one in standing.models if one.pointer.active}
    for model, errors in standing.passed_over.items():
        # Where none runs at all, its pipelines say why.
        if errors and model in live:
            yield CODE, f"model:{model}", f"{live[model]} goes on: {_line(errors[0])}", _remedy(errors[0])
    for error in standing.refused:
        yield (
            CODE,
            f"model:{error.folder.name}",
            _line(error),
            "mend the bundle, or take it out of its folder, and reload",
        )


def _line(error: EdgedError) -> str:
    return str(error.args[0])


def _remedy(error: EdgedError) -> str:
    return error.remedy or "mend the bundle and reload; edged models tells more"
