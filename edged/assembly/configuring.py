"""An ordered configuration on this box: checked as the daemon reads it, in force by a reload or a restart, watched, and taken back."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edged.assembly.notes import read_note
from edged.assembly.planner import FIXED_SECTIONS
from edged.assembly.roster import Roster
from edged.assembly.update_reports import UpdateReports
from edged.config.load import Loaded, RejectedConfigError, load
from edged.config.ordered import FOLDER, SLOT, forbidden, fragment
from edged.config.read import read_toml
from edged.config.schema import Config
from edged.domain.errors import ConfigError, DeviceError
from edged.domain.ports import Clock
from edged.update.configured import PROBATION_S, ConfiguredWay, Settings, ordered_configuration, restored
from edged.update.desired import Desired
from edged.update.disk import LocalDisk
from edged.update.going import ended_well, go, restarted, taken_up
from edged.update.probation import COMMIT, WATCH, Verdict
from edged.update.records import Ordered, Pointer, Records, replace_file
from edged.update.rollout import CHANGING, SETTLED, State
from edged.update.slots import Change, Slots
from edged.update.store import Store
from edged.update.window import waits_for

BEFORE = "before.json"
FAILED_S = 60.0
"""A box that failed on every start of its devices is well within a minute, or it is the configuration."""
SILENT_S = float(PROBATION_S)
"""A broker that was not there for so long is out of reach: neither is switched then, nor committed."""
HERE_S = 10.0
"""A broker that was there so lately is there: the link is looked at about once a second."""


@dataclass(frozen=True, slots=True)
class Running:
    """What an ordered configuration needs of the daemon: its main file, what it started on, and how it takes something else up.

    ``silent_s`` gives the seconds since the broker was there; None when it was not since the start.
    """

    file: Path
    started: Config
    roster: Roster
    silent_s: Callable[[], float | None]
    reload: Callable[[], None]
    restart: Callable[[], None]


class Configuring:
    """Implements ``edged.assembly.updating.Slot``; called by the agent's thread alone."""

    def __init__(self, state: Path, daemon: Running, reports: UpdateReports, clock: Clock, boot: str) -> None:
        self._state, self._daemon, self._clock, self._boot = state, daemon, clock, boot
        self._reports = reports
        self._disk = LocalDisk()
        self._records, self._store = Records(state, self._disk, clock), Store(state, self._disk)
        self._slots = Slots(self._records, self._told)
        self._way: ConfiguredWay | None = None
        self._failed_ns: int | None = None

    def tick(self, desired: Desired | None) -> float | None:
        """Bring the configuration that was ordered as far as it goes now; without a word about it it stays as it is.

        What goes live, is on probation or goes back comes to its end, whatever the documents say meanwhile.
        """
        pointer = self._slots.pointer(SLOT)
        wanted = ordered_configuration(desired) if desired is not None and desired.configuration is not None else None
        order = pointer.order if pointer.state in CHANGING and pointer.order is not None else wanted
        if order is None:
            return None
        text = desired.configuration if desired is not None and order == wanted else None
        try:
            return go(self._slots, self._way_of(order, text or ""), taken_up(self._slots, SLOT, order)).seconds
        except DeviceError as error:
            self._reports.hindered(SLOT, order, error)
            return FAILED_S

    def ended_well(self) -> None:
        """Note that edged ends because it was asked to."""
        ended_well(self._slots, SLOT)

    def check(self, file: Path) -> str | None:
        """Give why an ordered file cannot be used; None when the daemon would take it without a fault that it has not now."""
        try:
            never = forbidden(read_toml(file))
            if never:
                return f"it has {', '.join(never)}, expected what an order may have"
            after = load(self._daemon.file, ordered=file)
        except ConfigError as error:
            return str(error.args[0])
        before = {str(fault) for fault in _faults(self._daemon.file)}
        return next((line for fault in after.faults if (line := str(fault)) not in before), None)

    def _way_of(self, order: Ordered, text: str) -> ConfiguredWay:
        way = self._way
        if way is None or way.order != order:
            settings = Settings(self.check, self._waits_for, self._note_before, self._watch)
            way = self._way = ConfiguredWay(
                order, text, settings, self._store, self._records, self._disk, self._clock, self._boot
            )
        return way

    def _told(self, change: Change) -> None:
        self._reports.tell(change)
        if change.after.active != change.before.active:
            self._apply()
        if change.after.state in SETTLED:
            self._sweep(change.after)

    def _sweep(self, pointer: Pointer) -> None:
        """Remove the texts that nothing names any more, and what was noted for the probation."""
        named = (pointer.active, pointer.previous, pointer.candidate)
        kept = {fragment(self._state, one.digest) for one in named if one is not None}
        with suppress(OSError, DeviceError):  # the next one removes it
            for file in {*(self._state / FOLDER).iterdir()} - kept:
                self._disk.remove(file)

    def _apply(self) -> None:
        """Have the daemon take it up: by a reload, or by a restart where a reload is not enough."""
        daemon, self._failed_ns = self._daemon, None
        try:
            config = load(daemon.file).config
        except RejectedConfigError:
            daemon.reload()  # it says why, and goes on as it was
            return
        is_fixed = any(getattr(config, name) != getattr(daemon.started, name) for name in FIXED_SECTIONS)
        (daemon.restart if is_fixed else daemon.reload)()

    def _waits_for(self) -> str | None:
        """Say why it must not go live now: while the broker is away nobody could see that it costs the box its broker."""
        if self._silent_s(SILENT_S) >= SILENT_S:
            return "the broker is out of reach"
        return waits_for(self._daemon.started.updates.window, self._clock)

    def _note_before(self) -> None:
        """Note, durably, how the box does before the switch; without the note it did well."""
        told = {"failed": self._daemon.roster.grade == "failed"}
        replace_file(self._disk, self._state / FOLDER / BEFORE, json.dumps(told).encode())

    def _before(self) -> dict[str, Any]:
        try:
            told = json.loads(read_note(self._state / FOLDER / BEFORE) or b"{}")
        except ValueError:
            return {}
        return told if isinstance(told, dict) else {}

    def _watch(self, running_s: float) -> Verdict:
        """Roll back what the daemon does not take, what makes the box fail, and what costs it its broker."""
        before, roster = self._before(), self._daemon.roster
        refused = next((reason for reason in roster.reasons if reason.code == "reload-refused"), None)
        if refused is not None:
            return Verdict("roll-back", refused.message)
        if self._fails_for_s() > FAILED_S and not before.get("failed"):
            return Verdict(
                "roll-back",
                f"the box fails since it is in force: {'; '.join(one.message for one in roster.reasons[:2])}",
            )
        if running_s < PROBATION_S:
            return WATCH
        silent_s = self._silent_s(running_s)
        if silent_s >= SILENT_S:
            return Verdict("roll-back", f"the broker is out of reach for {silent_s:.0f} s, expected it as before")
        return COMMIT if silent_s <= HERE_S else WATCH

    def _silent_s(self, most_s: float) -> float:
        """Give for how long the broker was not there, of the last ``most_s``."""
        silent_s = self._daemon.silent_s()
        return most_s if silent_s is None else min(most_s, silent_s)

    def _fails_for_s(self) -> float:
        now_ns = self._clock.monotonic_ns()
        if self._daemon.roster.grade != "failed":
            self._failed_ns = None
            return 0.0
        self._failed_ns = self._failed_ns or now_ns
        return (now_ns - self._failed_ns) / 1e9


def recovered(file: Path, loaded: Loaded, clock: Clock, boot: str) -> Loaded:
    """Give the configuration to start on, after taking back an ordered one whose edged kept ending; for the holder of the lock."""
    state = loaded.config.state.directory
    if not (state / "slots" / SLOT).is_dir():
        return loaded
    records = Records(state, LocalDisk(), clock)
    slots = Slots(records)
    try:
        pointer = restarted(slots, SLOT, boot)
        if pointer.state is not State.ROLLING_BACK:
            return loaded
        move = restored(pointer, records)
        slots.advance(SLOT, move.event, since=pointer, **move.changes)
        return load(file)
    except (DeviceError, RejectedConfigError):
        return loaded


def _faults(file: Path) -> tuple[Any, ...]:
    try:
        return load(file).faults
    except RejectedConfigError as error:
        return error.faults
