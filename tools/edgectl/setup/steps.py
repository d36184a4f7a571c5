"""A step of setting a machine up: what it would change is known before anything is done, and looked at again afterwards."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from edgectl.setup import place
from edgectl.setup.machine import Machine
from edged.domain.errors import DeviceError, EdgedError

Outcome = Literal["done", "changed", "already", "left", "failed"]
"""``left``: there is nothing to do yet, or it is not this program's to do."""
TO_DO: Final[tuple[Outcome, ...]] = ("changed", "done")


@dataclass(frozen=True, slots=True)
class Step:
    """``look`` says what ``act`` would be: ``done`` where there was nothing, ``changed`` where there was something else, or ``already``.

    ``act`` may be called again after it was cut short at any point.
    """

    name: str
    what: str
    look: Callable[[], Outcome]
    act: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Told:
    """A step that was carried out, or would be."""

    name: str
    outcome: Outcome
    what: str


@dataclass(frozen=True, slots=True)
class File:
    """A file of the machine as it shall be; ``owner`` and ``group`` by name."""

    path: str
    content: bytes
    mode: int = 0o644
    group: str = "root"

    def look(self, machine: Machine) -> Outcome:
        """Hold it against what is there. What may not be looked at counts as to be changed."""
        file = machine.at(self.path)
        try:
            status = file.lstat()
            if not stat.S_ISREG(status.st_mode) or file.read_bytes() != self.content:
                return "changed"
        except FileNotFoundError:
            return "done"
        except OSError:
            return "changed"
        same = stat.S_IMODE(status.st_mode) == self.mode and status.st_gid == machine.gid(self.group)
        return "already" if same or not machine.is_live else "changed"

    def write(self, machine: Machine) -> None:
        """Put it there. Raises DeviceError."""
        group = machine.gid(self.group)
        owner = (0, group) if machine.is_live and group is not None else None
        place.write(machine.at(self.path), self.content, self.mode, owner)


def files_step(
    name: str, what: str, machine: Machine, files: Sequence[File], after: Callable[[], None] | None = None
) -> Step:
    """Give the step that puts files there; ``after`` is what has to hear of them."""

    def look() -> Outcome:
        return worst([file.look(machine) for file in files])

    def act() -> None:
        for file in files:
            if file.look(machine) != "already":
                file.write(machine)
        if after is not None:
            after()

    return Step(name, what, look, act)


def worst(outcomes: Sequence[Outcome]) -> Outcome:
    """Sum up the parts of one step: what was something else counts before what was not there."""
    return next((outcome for outcome in TO_DO if outcome in outcomes), "already")


def would(steps: Sequence[Step]) -> Iterator[Told]:
    """Say what would be done, and do nothing."""
    for step in steps:
        yield Told(step.name, step.look(), step.what)


def carry_out(steps: Sequence[Step]) -> Iterator[Told]:
    """Do what is not done already, in order; the last one told is ``failed`` when one could not be done, with the reason.

    A step that says afterwards that it is still to be done has failed, too.
    """
    for step in steps:
        try:
            outcome = _brought_about(step)
        except EdgedError as error:
            yield Told(step.name, "failed", str(error))
            return
        yield Told(step.name, outcome, step.what)


def _brought_about(step: Step) -> Outcome:
    outcome = step.look()
    if outcome in TO_DO:
        step.act()
        if step.look() in TO_DO:
            message = f"cannot {step.name}: it is not as it should be afterwards, expected {step.what}"
            raise DeviceError(message)
    return outcome
