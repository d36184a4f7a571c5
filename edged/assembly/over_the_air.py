"""Puts together what takes orders over the air; imported when [updates] names a repository, and not before."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

from edged.assembly.accepted import Accepted
from edged.assembly.bases import bases
from edged.assembly.box import Box
from edged.assembly.configuring import Configuring, Running
from edged.assembly.courier import Courier, CourierSettings
from edged.assembly.errands import Errands
from edged.assembly.going_live import GoingLive, digests_of
from edged.assembly.minutes import Felt
from edged.assembly.probing import Probing
from edged.assembly.roster import Roster
from edged.assembly.shadowing import Shadowing
from edged.assembly.stick import Stick
from edged.assembly.supply import Supply
from edged.assembly.trying import try_candidate
from edged.assembly.update_reports import UpdateReports
from edged.assembly.updating import FOLDER, PART, Updating
from edged.assembly.uses import USUAL, Use, uses_of
from edged.config.schema import Config, Objective
from edged.daemon import Daemon, Wanted
from edged.domain.artefact import VerifiedArtefact
from edged.domain.bundle import Bundle
from edged.domain.errors import DeviceError
from edged.domain.message import Draft
from edged.domain.ports import Outbox
from edged.fleet.session import Inbound
from edged.fleet.topics import DESIRED, FILE, GET, Stamper, group_desired, inbound
from edged.hardware.process import serving_mb
from edged.update.archive import unpack
from edged.update.desired import Audience, ModelOrder, audiences
from edged.update.disk import LocalDisk
from edged.update.ports import Progress, Site, Trial
from edged.update.records import Ordered, Release
from edged.update.trust_file import TrustFile
from edged.update.window import waits_for

LOOK_NS = 1_000_000_000
WEIGH_NS = 10_000_000_000
"""All of /proc is read for the children's sake."""
OVERHEATED = "temperature-hard"
"""The governor's word for a box above its hard limit."""


class OverTheAir:
    """The agent with all that it stands on. ``connect`` names what is made after it; nothing starts before the daemon does."""

    def __init__(
        self, config: Config, supply: Supply, box: Box, roster: Roster, outbox: Outbox, stamper: Stamper
    ) -> None:
        clock, state = stamper.clock, config.state.directory
        self._config, self._supply, self._box, self._clock, self._stamper = config, supply, box, clock, stamper
        self._outbox, self._roster = outbox, roster
        own = audiences(config.device.id, config.device.groups)
        self._topics = {_topic(config.device.id, one): one for one in own}
        packed = partial(bases, supply.store, supply.records)
        settings, trust = _courier_settings(config, box), TrustFile(state, LocalDisk())
        self._courier = Courier(settings, trust, clock, ask=self._ask, bases=packed)
        self._reports = UpdateReports(outbox, stamper)
        self._models: Callable[[], Mapping[str, str]] = dict
        self._online: Callable[[], bool] = lambda: False
        self._feels: Callable[[], Mapping[str, Any]] = dict
        self._uses: Callable[[str], tuple[Use, ...]] = lambda _model: USUAL
        self._seen_ns: int | None = None
        self._look_ns = self._weigh_ns = 0
        self._memory_mb: float | None = None
        self._probing = Probing(roster.lines, state, clock, self._felt, self._model_of)
        live = GoingLive(roster.lines, self._model_of, clock)
        self._shadowing = Shadowing(roster.lines, self._model_of, self._used, box, self._reports, clock)
        self.updating = Updating(self._courier, Accepted(state, LocalDisk(), own), supply, live, self._reports, clock)
        self._errands = Errands(self.updating.nudge)
        # Errands of its own: a word is judged in the middle of a download, which it may take back.
        self.updating.asks = Errands(self.updating.nudge).ask
        folder = folder_of(settings.repository)
        if folder is not None:
            stick, looking = Stick(folder, own, partial(self.updating.take, where=FOLDER)), Errands(_nothing)
            # A share that is away may hold whoever looks at it up for ever. Another object each time: each look is done anew.
            self.updating.looks_for_orders = lambda: looking.ask("look", object(), stick.look)
        self.updating.site = self._site(live)

    def __repr__(self) -> str:
        return f"<OverTheAir {self._courier!r} {self.updating!r}>"

    def connect(
        self,
        file: Path,
        daemon: Daemon,
        config: Callable[[], Config],
        is_online: Callable[[], bool],
        feels: Callable[[], Mapping[str, Any]],
    ) -> None:
        """Name the configuration's file, the daemon, what is in force, whether the broker is there, and how the box feels."""
        self._models = lambda: {pipeline.name: pipeline.model for pipeline in config().pipeline}
        self._uses = lambda model: uses_of(config(), model, partial(self._meets, model))
        self._online, self._feels = is_online, feels
        state, boot = self._config.state.directory, self._stamper.boot_id
        running = Running(file, self._config, self._roster, self._silent_s, daemon.reload, daemon.restart)
        self.updating.configuring = Configuring(state, running, self._reports, self._clock, boot)

    def parts(self) -> tuple[Wanted, ...]:
        """Give what the daemon shall run."""
        return (Wanted(PART, None, lambda: self.updating),)

    def take(self, message: Inbound) -> bool:
        """Take an order or a block of a file; False when the message is neither."""
        audience = self._topics.get(message.topic)
        if audience is not None:
            self.updating.take(audience, message.payload)
        elif message.topic == inbound(self._config.device.id, FILE):
            self._courier.take(message.payload)
        else:
            return False
        return True

    def tick(self) -> None:
        """Look how the models behave, once a second."""
        now_ns = self._clock.monotonic_ns()
        if self._online():
            self._seen_ns = now_ns
        if now_ns >= self._look_ns:
            self._look_ns = now_ns + LOOK_NS
            self._probing.tick()

    def conduct(self, model: str) -> dict[str, Any] | None:
        """Give how a model's last candidate did against the version before it; None when there was none."""
        return self._probing.told(model)

    def underway(self) -> list[Mapping[str, Any]]:
        """Give the updates that are on their way, each with how far it is."""
        watched = self._probing.underway()
        names = {one["model"] for one in watched}
        return [*watched, *(one for one in self._reports.underway() if one["model"] not in names)]

    def _model_of(self, pipeline: str) -> str | None:
        return self._models().get(pipeline)

    def _used(self, model: str) -> tuple[Use, ...]:
        return self._uses(model)

    def _felt(self) -> Felt:
        now_ns = self._clock.monotonic_ns()
        if self._shadowing.is_busy:
            # Its child would be weighed with what is in probation meanwhile.
            self._weigh_ns, self._memory_mb = 0, None
        elif now_ns >= self._weigh_ns:
            self._weigh_ns, self._memory_mb = now_ns + WEIGH_NS, serving_mb()
        return Felt(self._memory_mb, self._feels().get("cause") == OVERHEATED, self._silent_s())

    def _silent_s(self) -> float | None:
        seen_ns = self._seen_ns
        return None if seen_ns is None else (self._clock.monotonic_ns() - seen_ns) / 1e9

    def _site(self, live: GoingLive) -> Site:
        state = self._config.state.directory

        def activate(model: str, release: Release) -> str | None:
            if not live.is_opening(model, release):
                bundle = self._supply.stored(model, release)
                if bundle is None:
                    return "it is damaged in the store"
                self._probing.begins(model, release, self._supply.records.pointer(model).previous, digests_of(bundle))
                live.begin(release, bundle)
            why = live.end(model)
            if why is not None:
                self._probing.over(model)
            return why

        return Site(
            fetch=self._fetch,
            unpack=unpack,
            trial=self._try,
            free_bytes=partial(_free_bytes, state),
            waits_for=partial(waits_for, self._config.updates.window, self._clock),
            activate=activate,
            watch=self._probing.watch,
            cancelled=self.updating.is_called_back,
            progress=self._reports.progress,
            shadow=self._shadowing.rule,
            part=self._shadowing.part,
            apart=self._errands.ask,
        )

    def _fetch(
        self, model: str, order: Ordered, progress: Progress, cancelled: Callable[[], bool]
    ) -> VerifiedArtefact | None:
        given = order.model_dump(include={one.name for one in fields(ModelOrder)})
        wanted = ModelOrder(model=model, **given)
        return self._errands.ask(f"fetch-{model}", order, lambda: self._courier.fetch(wanted, progress, cancelled))

    def _try(self, bundle: Bundle) -> Trial | None:
        return self._errands.ask(f"try-{bundle.manifest.name}", bundle, lambda: self._tried(bundle))

    def _tried(self, bundle: Bundle) -> Trial:
        try:
            result = try_candidate(
                bundle, self._box, cancelled=self.updating.is_ending, uses=self._used(bundle.manifest.name)
            )
        except OSError as error:
            message = f"cannot try {bundle.manifest.name}: {error.strerror}, expected a temporary file and a process"
            raise DeviceError(message, code="process") from error
        self._reports.figures(bundle.manifest.name, result.figures)
        return result

    def _meets(self, model: str, pin: str | None, objective: Objective) -> bool:
        """Whether what runs meets what is asked of it, as far as it was measured."""
        runs = [bundle for bundle in self._supply.bundles() if bundle.manifest.name == model]
        return not any(self._supply.ladder(bundle, pin, objective).unmet for bundle in runs)

    def _ask(self, document: dict[str, Any]) -> None:
        self._outbox.put(Draft(GET, {**document, **self._stamper.now()}, lane="telemetry", qos=0, priority=1))


def _nothing() -> None:
    """Nobody waits for a look: an order that it finds wakes the agent itself."""


def _free_bytes(folder: Path) -> int:
    try:
        return shutil.disk_usage(folder).free
    except OSError as error:
        message = f"cannot look how much room {folder} has: {error.strerror}, expected a disk that tells"
        raise DeviceError(message, code="disk") from error


def _topic(device: str, audience: Audience) -> str:
    return inbound(device, DESIRED) if audience.kind == "device" else group_desired(audience.name)


def folder_of(repository: str) -> Path | None:
    """Give the repository's folder; None for one behind a URL or a broker."""
    is_elsewhere = repository == "mqtt" or repository.startswith(("https://", "http://"))
    return None if is_elsewhere else Path(repository.removeprefix("file://")).absolute()


def _courier_settings(config: Config, box: Box) -> CourierSettings:
    updates, device = config.updates, config.device
    return CourierSettings(
        # A folder as the daemon knows it: the child lives in another one.
        repository=str(folder_of(str(updates.repository)) or updates.repository),
        trust=updates.trust or Path(),
        state=config.state.directory,
        device=device.id,
        groups=device.groups,
        profile=box.profile.name,
        max_kbps=updates.max_kbps,
    )


def over_the_air(
    config: Config, supply: Supply, box: Box, roster: Roster, outbox: Outbox, stamper: Stamper
) -> OverTheAir:
    """Put it together."""
    return OverTheAir(config, supply, box, roster, outbox, stamper)
