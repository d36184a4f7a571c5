"""An ordered configuration on this box: checked as the daemon reads it, in force by a reload or a restart, watched, and taken back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from edged.assembly.notes import read_note, write_note
from edged.assembly.planner import FIXED_SECTIONS
from edged.assembly.roster import Roster
from edged.assembly.update_reports import UpdateReports
from edged.config.load import Loaded, RejectedConfigError, load
from edged.config.ordered import FOLDER, NEVER, SLOT
from edged.config.read import read_toml
from edged.config.schema import Config
from edged.domain.errors import ConfigError, DeviceError
from edged.domain.ports import Clock
from edged.update.configured import PROBATION_S, ConfiguredWay, Settings, ordered_configuration, restored
from edged.update.desired import Desired
from edged.update.disk import LocalDisk
from edged.update.going import ended_well, go, restarted, taken_up
from edged.update.probation import COMMIT, WATCH, Verdict
from edged.update.records import Records
from edged.update.rollout import CHANGING, State
from edged.update.slots import Change, Slots
from edged.update.store import Store
from edged.update.window import waits_for

BEFORE = "before.json"
FAILED_S = 60.0
"""A box that failed on every start of its devices is well within a minute, or it is the configuration."""


@dataclass(frozen=True, slots=True)
class Running:
    """What an ordered configuration needs of the daemon: its main file, what it started on, and how it takes something else up."""

    file: Path
    started: Config
    roster: Roster
    is_online: Callable[[], bool]
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
        """Bring the configuration that was ordered as far as it goes now; without a word about it it stays as it is."""
        pointer = self._slots.pointer(SLOT)
        if desired is None or (desired.configuration is None):
            return None
        order = ordered_configuration(desired)
        if pointer.state in CHANGING and pointer.order is not None:
            order = pointer.order
        way = self._way
        if way is None or way.order != order:
            window = self._daemon.started.updates.window
            settings = Settings(self.check, partial(waits_for, window, self._clock), self._watch)
            text = desired.configuration
            way = self._way = ConfiguredWay(
                order, text, settings, self._store, self._records, self._disk, self._clock, self._boot
            )
        try:
            return go(self._slots, way, taken_up(self._slots, SLOT, order)).seconds
        except DeviceError as error:
            self._reports.hindered(SLOT, order, error)
            return FAILED_S

    def ended_well(self) -> None:
        """Note that edged ends because it was asked to."""
        ended_well(self._slots, SLOT)

    def check(self, file: Path) -> str | None:
        """Give why an ordered file cannot be used; None when the daemon would take it without a fault that it has not now."""
        try:
            never = [name for name in read_toml(file) if name in NEVER]
            if never:
                return f"it has {', '.join(f'[{name}]' for name in never)}, expected sections that an order may have"
            after = load(self._daemon.file, ordered=file)
        except ConfigError as error:
            return str(error.args[0])
        before = {str(fault) for fault in _faults(self._daemon.file)}
        return next((line for fault in after.faults if (line := str(fault)) not in before), None)

    def _told(self, change: Change) -> None:
        self._reports.tell(change)
        if change.after.active != change.before.active:
            if change.after.state is State.PROBATION:
                self._note_before()
            self._apply()

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

    def _note_before(self) -> None:
        told = {"online": self._daemon.is_online(), "failed": self._daemon.roster.grade == "failed"}
        write_note(self._state / FOLDER / BEFORE, json.dumps(told).encode())

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
        if before.get("online") and not self._daemon.is_online():
            return Verdict("roll-back", "the broker is out of reach since it is in force, expected it as before")
        return COMMIT

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
