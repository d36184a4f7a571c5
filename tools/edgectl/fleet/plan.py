"""A rollout as its file has it: what shall run, where first, and what stops it.

TOML. The file is all that a rollout is: how far it has come is read from what the boxes retain.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edged.config.faults import explain
from edged.config.read import read_toml
from edged.domain.errors import ConfigError

Share = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
HOUR_S, DAY_S = 3600.0, 86_400.0
Table = TypeVar("Table", bound=BaseModel)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Wanted(_Part):
    """The release that shall run."""

    name: Name
    """The model's."""
    version: str
    """As the repository offers it."""
    force: bool = False
    """Whether a release that a box holds in quarantine is tried again."""


class Stage(_Part):
    """How many boxes take part up to and including this stage, and how long they run before the next one begins."""

    name: Name
    """For people."""
    share: Annotated[float, Field(gt=0, le=1)]
    """Of the boxes, up to and including this stage; the last one's is 1."""
    at_least: Annotated[int, Field(ge=1)] = 1
    """Of the whole fleet, when it has so many; and one of each device profile besides."""
    soak_s: Annotated[float, Field(ge=0)] = HOUR_S
    """From when the last box of the stage committed until the next stage begins."""


class Gates(_Part):
    """What a stage must show before the next one begins."""

    success: Share = 0.95
    """Of the boxes that can be reached and may run it."""
    p95_ratio: Annotated[float, Field(gt=0)] = 1.25
    """The p95 of a box against its own before the change; boxes above it count against `success`."""
    error_share: Share = 0.02
    """Frames without an answer; boxes above it count likewise."""
    drift: bool = True
    """Whether boxes on which a pipeline of the model tells drift since they were ordered count likewise."""
    max_unknown: Share = 0.2
    """Of the boxes of a stage that are offline: with more, it waits for them."""


class Abort(_Part):
    """When it is over: with more failures than either of the two. Exactly at the threshold nothing happens."""

    share: Share = 0.05
    """Of the boxes that have come to an end."""
    at_least: Annotated[int, Field(ge=0)] = 2
    """So many failures never end it, however small the fleet."""
    min_finished: Annotated[int, Field(ge=1)] = 3
    """Before so many have come to an end a share says nothing."""


class Beside(_Part):
    """How each box compares the release with what it runs, before it goes live."""

    one_in: Annotated[int, Field(ge=0, le=10_000)] = 0
    """On one frame in so many; 0: it is not compared."""
    frames: Annotated[int, Field(ge=1, le=100_000)] = 100
    """Until so many were compared."""
    agreement: Share = 0.9
    """Of them have to agree."""


class Plan(_Part):
    """A rollout's file."""

    name: Name
    """The rollout's: what `watch`, `pause`, `resume` and `abort` know it by, and what draws the stages."""
    model: Wanted
    groups: tuple[str, ...] = ()
    """Only boxes of one of these groups; of none: the whole fleet."""
    exclude: tuple[str, ...] = ()
    """Device ids."""
    stage: Annotated[tuple[Stage, ...], Field(min_length=1)] = (
        Stage(name="canary", share=0.01, at_least=3),
        Stage(name="few", share=0.1),
        Stage(name="half", share=0.5),
        Stage(name="all", share=1.0, soak_s=0),
    )
    """One after the other; by default the canary is 3 boxes or more, and every stage but the last soaks for an hour."""
    gates: Gates = Gates()
    abort: Abort = Abort()
    per_minute: Annotated[int, Field(ge=1, le=1000)] = 60
    """So many boxes are ordered in a minute, at most."""
    timeout_s: Annotated[float, Field(gt=0)] = DAY_S
    """A box that is online and has not come to an end by then counts as failed."""
    valid_s: Annotated[float, Field(gt=0)] = 30 * DAY_S
    """How long an order may be followed after it was given."""
    probation_s: Annotated[int, Field(ge=0)] = 900
    """How long each box watches the release before it commits it."""
    min_inferences: Annotated[int, Field(ge=0)] = 100
    """And how many results it must have seen by then."""
    shadow: Beside = Beside()

    @model_validator(mode="after")
    def _rises(self) -> Plan:
        shares = [stage.share for stage in self.stage]
        if shares != sorted(set(shares)) or shares[-1] != 1.0:
            message = f"the stages' shares are {shares}, expected rising ones that end with 1.0"
            raise ValueError(message)
        return self


def read_plan(file: Path) -> Plan:
    """Read a rollout's file. Raises ConfigError with every fault."""
    return read_table(file, Plan)


def read_table(file: Path, kind: type[Table]) -> Table:
    """Read a TOML file of one kind. Raises ConfigError with the file's name and every fault."""
    try:
        document = read_toml(file)
    except ConfigError as error:
        message = f"cannot use {file}: {error.args[0]}"
        raise ConfigError(message, remedy=error.remedy) from error
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        rows = explain(error, [kind], document)
        faults = "; ".join(f"{'.'.join(str(part) for part in path)}: {line}" for path, line in rows)
        message = f"cannot use {file}: {faults}"
        raise ConfigError(message, remedy="mend the file") from error
