"""What somebody on the box asks a running daemon to record: a file each in a folder beside the recordings, which the daemon takes away.

No broker and no password are needed; who may write into the folder may ask.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from edged.telemetry import logs

FOLDER = "now"
MAX_BYTES = 1024
MAX_SECONDS = 300.0

_LOG = logging.getLogger("edged.recordings")


class Requests:
    """The daemon's end."""

    def __init__(self, recordings: Path) -> None:
        self._folder = recordings / FOLDER

    def __repr__(self) -> str:
        return f"<Requests in {self._folder}>"

    def taken(self) -> Iterator[tuple[str, float]]:
        """Take what is asked for: the pipeline, empty for all, and for how many seconds."""
        try:
            names = sorted(os.listdir(self._folder))  # noqa: PTH208 - once a second; a folder that is not there is the usual case
        except OSError:
            return
        for name in names:
            if not name.endswith(".json"):
                continue
            asked = _read(self._folder / name)
            with suppress(OSError):
                (self._folder / name).unlink()
                # What cannot be taken away is not done: it would be done again every second.
                if asked is not None:
                    yield asked


def ask(recordings: Path, pipeline: str, seconds: float) -> Path:
    """Ask the daemon; gives the file, which is gone once it was taken. Raises OSError where the folder may not be written."""
    folder = recordings / FOLDER
    if not folder.is_dir():
        folder.mkdir(mode=0o770, exist_ok=True)
        _hand_over(folder)
    file = folder / f"{uuid4()}.json"
    beside = file.with_suffix(".new")
    beside.write_text(json.dumps({"pipeline": pipeline, "seconds": seconds}), encoding="utf-8")
    _hand_over(beside)
    beside.replace(file)
    return file


def _hand_over(made: Path) -> None:
    """Give what root made to whom the folder belongs: the daemon has to read it, and to take it away."""
    if os.geteuid() == 0:
        owner = made.parent.stat()
        os.chown(made, owner.st_uid, owner.st_gid)


def _read(file: Path) -> tuple[str, float] | None:
    try:
        with file.open("rb") as stream:
            document = json.loads(stream.read(MAX_BYTES))
        pipeline, seconds = str(document["pipeline"]), float(document["seconds"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        logs.event(_LOG, "record-request.refused", level=logging.WARNING, file=file.name, error=error)
        return None
    # What is no number is least of all a time: ``min`` and ``max`` would let it through.
    return pipeline, min(max(0.0, seconds), MAX_SECONDS)
