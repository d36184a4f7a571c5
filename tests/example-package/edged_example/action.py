"""Events as lines of a file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def note(event: dict[str, Any]) -> None:
    """Append an event to the file that the environment names."""
    with Path(os.environ["EDGED_EXAMPLE_NOTES"]).open("a", encoding="utf-8") as notes:
        notes.write(json.dumps(event) + "\n")
