"""One pipeline's end of its source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edged.pipeline.inlet import Inlet
from edged.pipeline.mailbox import Mailbox
from edged.pipeline.need import Needs
from edged.pipeline.reader import Reader

if TYPE_CHECKING:
    from edged.assembly.tap import Tap


@dataclass(frozen=True, slots=True)
class Intake:
    """What a pipeline takes its frames from, and says what it needs of them."""

    mailbox: Mailbox
    reader: Reader
    inlet: Inlet
    needs: Needs
    is_pictures: bool
    tap: Tap | None = None
    """What records it; None where nothing is recorded."""
