"""What everything else in the daemon stands on: the clock, the outbox, the box and its models."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from edged.assembly.allowance import Allowance
from edged.assembly.box import Box, model_folders, survey_for
from edged.assembly.learning import Learnings
from edged.assembly.listeners import Listeners
from edged.assembly.passed_over import expected_folders
from edged.assembly.roster import Roster
from edged.assembly.supply import Supply
from edged.assembly.telling import Teller
from edged.config.schema import Config
from edged.domain.ports import Clock
from edged.fleet.outbox import Outbox
from edged.fleet.topics import Stamper
from edged.hardware.clock import SystemClock, boot_id

OUTBOX = "outbox.sqlite3"


@dataclass(frozen=True, slots=True)
class Ground:
    """What everything else stands on."""

    config: Config
    clock: Clock
    stamper: Stamper
    outbox: Outbox
    allowance: Allowance
    box: Box
    supply: Supply
    learnings: Learnings
    teller: Teller
    roster: Roster
    listeners: Listeners


def ground_of(config: Config) -> Ground:
    """Open the outbox, look at the box, and make what the rest is given."""
    clock, state = SystemClock(), config.state.directory
    stamper = Stamper(boot_id(Path("/")), clock)
    outbox = Outbox.open(
        state / OUTBOX,
        device=config.device.id,
        clock=clock,
        max_bytes=config.outbox.max_bytes,
        boot_id=stamper.boot_id,
    )
    allowance = Allowance(config.mqtt.budget_mb_per_day, outbox, state, clock)
    listeners = Listeners(config, allowance, stamper)
    box = survey_for(config)
    return Ground(
        config,
        clock,
        stamper,
        outbox,
        allowance,
        box,
        Supply(
            model_folders(config),
            state,
            replace(box, remotes=config.remote),
            clock,
            expected_folders(config),
            stamper.boot_id,
        ),
        Learnings(state, clock),
        Teller(allowance.outbox, stamper),
        Roster(),
        listeners,
    )
