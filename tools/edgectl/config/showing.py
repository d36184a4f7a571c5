"""``edgectl config show``: the rows for people and for programs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from edgectl.bundle.terminal import print_table
from edgectl.config.merged import DEFAULT, Row, rows, written
from edgectl.plain import print_json
from edged.config.load import Fault, Loaded, RejectedConfigError, load, read_whole
from edged.domain.errors import ConfigError


def show(file: Path, *, only_set: bool, as_json: bool) -> bool:
    """Print every value; gives whether the configuration has faults. Raises RejectedConfigError when a file cannot be read."""
    refuse_absent(file)
    whole, unreadable, _ = read_whole(file)
    if unreadable:
        raise RejectedConfigError(tuple(unreadable))
    loaded, faults = _loaded(file)
    shown = [row for row in rows(whole, loaded) if not only_set or row.file != DEFAULT]
    if as_json:
        print_json(
            {
                "schema": "edgectl.config-show/1",
                "faults": [str(fault) for fault in faults],
                "values": [_document(row) for row in shown],
            }
        )
    else:
        print_table(("key", "value", "from"), [(row.key, written(row.value), row.origin) for row in shown])
    for fault in faults:
        sys.stderr.write(f"edgectl: {fault}\n")
    return bool(faults)


def refuse_absent(file: Path) -> None:
    """Raise ConfigError where there is no configuration at all, with what makes one."""
    if not os.path.lexists(file):
        message = f"cannot find a configuration: there is no {file}, expected one"
        raise ConfigError(message, remedy="edgectl config init makes one; --config names another place")


def _loaded(file: Path) -> tuple[Loaded | None, tuple[Fault, ...]]:
    """Load it for its defaults; with a fault of the box there are none, and what the files say is shown all the same."""
    try:
        loaded = load(file, named=False)
    except RejectedConfigError as error:
        return None, error.faults
    return loaded, loaded.faults


def _document(row: Row) -> dict[str, object]:
    return {"key": row.key, "value": row.value, "from": row.file, "line": row.line}
