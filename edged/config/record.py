"""What is kept of inputs, results and readings around events: ``[record]``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from edged.config.keys import File, Name, Number, Section, Whole

MIN_RING_BYTES = 1_048_576
"""Room for a few small recordings; with less, each would push out the one before."""
MAX_ROLL_S = 600
YEARS_DAYS = 3650


class Record(Section):
    """Recordings of inputs, results and readings around events, for ``edgectl replay``. Without this section nothing is recorded."""

    directory: File | None = None
    """Where they are kept. Default: ``recordings/`` in the state's directory."""
    max_bytes: Annotated[Whole, Field(ge=MIN_RING_BYTES)] = 1_073_741_824
    """What they may take on the disk together; the oldest go first. One takes a quarter of it at most, and several at once share that."""
    keep_days: Annotated[Number, Field(gt=0, le=YEARS_DAYS)] = 7.0
    """What is older is removed, as soon as the clock is synchronised."""
    before_s: Annotated[Number, Field(ge=0, le=MAX_ROLL_S)] = 10.0
    """So much of what was before the word of an event belongs to it, besides the ``for_s`` of its rule; in the source's own time."""
    after_s: Annotated[Number, Field(ge=0, le=MAX_ROLL_S)] = 10.0
    """So much of what comes after the word of an event belongs to it, too."""
    pipelines: tuple[Name, ...] = ()
    """Only these pipelines. Default: every one."""
    quality: Literal["jpeg", "lossless"] = "jpeg"
    """``lossless`` keeps pictures as PNG: several times larger, and what is replayed is to the bit what the model was shown."""
    memory_bytes: Annotated[Whole, Field(ge=MIN_RING_BYTES)] = 33_554_432
    """What the time before an event may take in memory, of all pipelines together; a shorter time is kept where it does not suffice."""
