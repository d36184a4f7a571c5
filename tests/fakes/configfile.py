"""A configuration file as a test writes it, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edged.config.load import Loaded, RejectedConfigError, load

SOURCE = """
[[source]]
name = "dock"
kind = "file"
path = "/data/dock.mp4"
"""
PIPELINE = """
[[pipeline]]
name = "people"
source = "dock"
model = "person"
"""
GOOD = '[device]\nid = "press-07"\n' + SOURCE + PIPELINE
Write = Callable[..., Path]


def lines(loaded: Loaded | RejectedConfigError, folder: Path) -> list[str]:
    return [str(fault).replace(f"{folder}/", "") for fault in loaded.faults]


def rejected(file: Path) -> RejectedConfigError:
    with pytest.raises(RejectedConfigError) as caught:
        load(file, root=file.parent)
    return caught.value
