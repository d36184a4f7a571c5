"""The documents of the wire as models, for those who read them and for their reference. Unknown fields are kept.

Writers on the hot path build plain dictionaries (edged.fleet.documents); a test holds them to these models.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from edged.fleet.schemas_results import (
    RFC3339,
    ActionDocument,
    Document,
    EventDocument,
    Part,
    Reported,
    ResultDocument,
    SnapshotDocument,
)


class StatusDocument(Reported):
    """``out/status``, retained; the last will is one without ``seq``."""

    schema_: Literal["edged.status/1"] = Field(alias="schema")
    state: Literal["online", "offline"]
    reason: str | None = None


class Reason(Part):
    """One thing that is wrong: a stable code, where, since when, what to do."""

    code: str
    component: str
    since: str
    message: str
    remedy: str = ""


class HealthDocument(Reported):
    """``out/health``, retained."""

    schema_: Literal["edged.health/1"] = Field(alias="schema")
    state: Literal["ok", "degraded", "failed"]
    reasons: tuple[Reason, ...] = ()


class InventoryDocument(Reported):
    """``out/inventory``, retained: hardware, profile, versions, pipelines, the ladder of each model with figures and reasons."""

    schema_: Literal["edged.inventory/1"] = Field(alias="schema")
    hardware: dict[str, Any]
    """What ``edged hardware --json`` prints."""
    profile: str | None = None
    groups: tuple[str, ...] = ()
    memory_free_mb: int | None = None
    """MiB that models could have added as this was told, beside what runs; None is no bound."""
    versions: dict[str, str | None] = Field(default_factory=dict)
    """Of edged, Python and the installed runtimes."""
    pipelines: tuple[dict[str, Any], ...] = ()
    """``name``, ``source``, ``model``; while it does less ``governor``: ``level``, ``cause``, ``reason``, ``steps``, ``rung``, ``rate``."""
    models: tuple[dict[str, Any], ...] = ()
    """For each model and objective what ``edged explain --json`` prints, and the ``pipelines`` that ask for it."""


class SecondsDocument(Part):
    """Seconds that a pipeline saw, that it was blind by cause, and of which nothing is known since the daemon was down."""

    seen_s: float = Field(ge=0)
    blind_s: dict[str, float] = Field(default_factory=dict)
    """``source``, ``engine``, ``paused``, ``thinned``, ``gate``, ``calibrating``; absent is none."""
    down_s: float = Field(ge=0)


class MinuteDocument(SecondsDocument):
    """One minute; its seconds sum to 60."""

    at: str = Field(pattern=RFC3339)
    """When it began."""


class CoverageDocument(Part):
    """What a pipeline saw: the minutes that ended since the last telemetry, at most 60, and the day (UTC) so far."""

    minutes: tuple[MinuteDocument, ...] = ()
    day: SecondsDocument


class EnergyDocument(Part):
    """What the box consumed since the last telemetry, idle running included. Null where nothing tells it."""

    source: Literal["ina3221", "rapl", "unknown"]
    joules: float | None = None
    watts: float | None = None
    joules_per_inference: float | None = None


class TelemetryDocument(Reported):
    """``out/telemetry``, every interval. Counts are since the daemon's start; null is what cannot be read."""

    schema_: Literal["edged.telemetry/1"] = Field(alias="schema")
    uptime_s: float = Field(ge=0)
    """Of the machine, by the clock of ``mono_ms``."""
    process: dict[str, Any]
    """The daemon: ``cpu_percent`` of one processor, ``memory_mb``, ``threads``, ``open_files``; and the state's ``disk_free_mb``."""
    readings: dict[str, Any]
    """The box: ``temperatures`` with their limits, ``under_voltage``, ``throttled``, pressures, memory in MiB, load."""
    pipelines: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """By pipeline: ``state``, ``source``, ``source_state``, ``frames``, ``results``, ``unknown``, ``events``, ``restarts``,
    ``rate_hz`` since the last telemetry, ``latency_ms`` (``p50`` and ``p99`` of each stage and of the whole), ``drops`` by cause."""
    outbox: dict[str, Any]
    """Documents that are ``pending``, ``committed``, ``acknowledged``, ``evicted``, ``dropped`` and so on, and ``disk_bytes``."""
    governor: dict[str, Any] | None = None
    """``enabled``, ``level``, ``cause``, ``reason``."""
    budget: dict[str, Any] | None = None
    """With ``mqtt.budget_mb_per_day``: ``limit_bytes``, ``used_bytes``, ``left_s`` of the day, ``thinned`` documents."""
    commands: dict[str, int] = Field(default_factory=dict)
    """How many were ``done``, refused by code, ``ignored``, and ``dropped`` since too many came."""
    coverage: dict[str, CoverageDocument] = Field(default_factory=dict)
    """By pipeline."""
    energy: EnergyDocument | None = None


class SuspectDocument(Part):
    """Results of ``stream`` that nobody may trust: those from the first to the last, by frame, date and ``mono_ms`` of the ``boot_id``."""

    stream: str
    variant: str
    accelerator: str
    digest: str
    results: int = Field(ge=1)
    """How many frames were judged; fewer were told when the pipeline reports changes only."""
    told: int = Field(ge=0)
    """How many of them were told."""
    first_seq: int | None = Field(default=None, ge=1)
    last_seq: int | None = Field(default=None, ge=1)
    """Their numbers in ``stream``; absent when none was told."""
    first_frame: int = Field(ge=0)
    last_frame: int = Field(ge=0)
    first_at: str = Field(pattern=RFC3339)
    last_at: str = Field(pattern=RFC3339)
    first_mono_ms: int = Field(ge=0)
    last_mono_ms: int = Field(ge=0)


class StepDocument(Part):
    """One step of the governor: ``kind`` of lever, and where it stood before and stands after."""

    kind: Literal["gate", "rate", "threads", "variant", "device", "pause"]
    before: str
    after: str
    is_down: bool
    """Whether the pipeline does less since."""


class AlertDocument(Reported):
    """``out/alert``: what somebody may want to be called about; evictions are ``edged.gap/1``."""

    schema_: Literal["edged.alert/1"] = Field(alias="schema")
    code: str
    """``governor-step``, ``governor-step-failed``, ``drift``, ``drift-over``, ``suspect``, ``variant-exchanged``, ``engine-building``,
    ``engine-built``, ``engine-unbuilt``, ``model-rolled-back``, ``update-attack``, ``clock``."""
    component: str
    message: str
    remedy: str = ""
    offset_ms: int | None = None
    """``clock``: how far the wall clock moved. What was stamped just before is wrong by as much."""
    suspect: SuspectDocument | None = None
    """``suspect``: the live self-test failed. Later results carry the status ``suspect`` themselves until it is passed."""
    boot_at: str | None = None
    """``clock``: when this boot's ``mono_ms`` was 0. Added to it, any document of the ``boot_id`` is dated, whatever its label says."""
    step: StepDocument | None = None
    """``governor-step``, and ``governor-step-failed`` for one that could not be done."""
    level: Literal["calm", "near", "pressed", "hard", "critical"] | None = None
    """``governor-step``: how much the box suffered."""
    cause: str | None = None
    """``governor-step``: the sign that decided; see governor.md."""
    figures: dict[str, Any] | None = None
    """``governor-step``: what the box felt then, by sign and by pipeline."""
    evidence: dict[str, Any] | None = None
    """``drift``, ``drift-over``: the feature, its statistics against their limits, its latest windows, both distributions."""


class GapDocument(Reported):
    """``out/alert``: ``count`` documents of ``stream`` between two numbers that will never come, and why.

    With the reason ``numbers-skipped`` it is none: the box was started on a disk that took nothing, where a number that is given could not
    be kept, and goes on far above those that it may have given before.
    """

    schema_: Literal["edged.gap/1"] = Field(alias="schema")
    stream: str
    first_seq: int = Field(ge=1)
    last_seq: int = Field(ge=1)
    count: int = Field(ge=0)
    reason: str


class CalibrationDocument(Part):
    """How far a pipeline's calibration has come. Nulls while it is ``calibrating``: its results are ``unknown`` then, ``calibrating``."""

    pipeline: str
    model: str
    version: str
    state: Literal["calibrating", "calibrated"]
    since: str | None = None
    """When the normal running ended that it has learned from."""
    seconds: float | None = None
    """How much of it there was, in the source's own time."""
    windows: int | None = None
    threshold: float | None = None
    reason: str = ""
    """Why the last try was refused."""


class ModelsDocument(Reported):
    """``out/models``, retained: what runs, what ran before, what was asked for, and what has calibrated itself.

    Of each model also ``since`` when it is in its state, and ``conduct``: how the last candidate did in probation against the one before.
    """

    schema_: Literal["edged.models/1"] = Field(alias="schema")
    models: tuple[dict[str, Any], ...] = ()
    """``name``, ``state``, ``since``, ``reason``, ``active``, ``previous``, ``quarantined``, ``desired``, ``conduct``, ``code``."""
    calibrations: tuple[CalibrationDocument, ...] = ()
    """Of the pipelines whose models learn what is normal on the box."""


class OrderDocument(Part):
    """Who ordered what: the document's audience (``device:…`` or ``group:…``) and number, and the release that it names."""

    audience: str
    seq: int = Field(ge=1)
    campaign: str = ""
    by: str = ""
    version: str
    target: str
    sha256: str


class ProgressDocument(Part):
    """How far a download is."""

    done_bytes: int = Field(ge=0)
    total_bytes: int = Field(ge=1)


class PipelineStateDocument(Part):
    """What stands now of one pipeline; null is what is not known."""

    model: str | None = None
    version: str | None = None
    rung: str | None = None
    """The variant that runs."""
    rules: dict[str, bool] = Field(default_factory=dict)
    """Which rules hold: an event of theirs has started and not ended."""


class StatesDocument(Reported):
    """``out/states``, retained, with ``[homeassistant]`` only: what events and levels amount to now, for readers that came late."""

    schema_: Literal["edged.states/1"] = Field(alias="schema")
    pipelines: dict[str, PipelineStateDocument] = Field(default_factory=dict)


class ShadowDocument(Part):
    """How far a candidate that runs beside what is live has come: frames compared, those on which the two agree, and how many are asked."""

    compared: int = Field(ge=0)
    agreed: int = Field(ge=0)
    of: int = Field(ge=1)


class UpdateDocument(Reported):
    """``out/update``: a transition of a model's slot, how far a download or a shadow is, or an order that was refused (docs/updates.md)."""

    schema_: Literal["edged.update/1"] = Field(alias="schema")
    model: str | None
    """``configuration`` for an ordered configuration; None for an order that was not even accepted."""
    state: str
    """As in docs/reference/rollout.md, or ``cancel-rejected``."""
    event: str | None = None
    order: OrderDocument | None
    """None for a bundle from a folder."""
    version: str | None = None
    digest: str | None = None
    """Of the release: ``sha256:…``."""
    attempt: int = Field(default=0, ge=0)
    reason: str = ""
    code: str = ""
    figures: dict[str, Any] = Field(default_factory=dict)
    """What the trial measured, and ``shadow``: how far it agreed with what is live."""
    progress: ProgressDocument | None = None
    shadow: ShadowDocument | None = None
    audience: str | None = None


class GetDocument(Reported):
    """``out/get``, QoS 0: asks for ``length`` bytes of a repository's ``file``, which come on ``in/file`` (docs/repository.md)."""

    schema_: Literal["edged.get/1"] = Field(alias="schema")
    id: str
    """Comes back with the answer."""
    file: str
    offset: int = Field(ge=0)
    length: int = Field(ge=1)


class ReplyDocument(Reported):
    """``out/reply``, or the command's response topic: the answer to the command ``id`` (empty when it could not be read)."""

    schema_: Literal["edged.reply/1"] = Field(alias="schema")
    id: str
    verb: str = ""
    ok: bool
    code: str = ""
    """Why not, for programs; see commands-mqtt.md."""
    message: str = ""
    result: dict[str, Any] = Field(default_factory=dict)
    correlation: str | None = None
    """The MQTT 5 correlation data that came with the command, in base64."""


DOCUMENTS: tuple[type[Document], ...] = (
    ResultDocument,
    EventDocument,
    ActionDocument,
    SnapshotDocument,
    StatusDocument,
    HealthDocument,
    InventoryDocument,
    TelemetryDocument,
    AlertDocument,
    GapDocument,
    ModelsDocument,
    StatesDocument,
    UpdateDocument,
    GetDocument,
    ReplyDocument,
)
