"""What is looked for and what is told: the ``[[pipeline]]`` tables."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from edged.config.count import Count
from edged.config.faults import nearest
from edged.config.keys import (
    DAY_S,
    YEAR_S,
    CountText,
    Flag,
    Fps,
    Fraction,
    Name,
    Number,
    Polygon,
    Seconds,
    Section,
    Segment,
    Text,
    Whole,
)
from edged.config.plugins import brought

ACTIONS = "actions"
"""In the validation's context: the names of the ``[[action]]`` tables."""


class Objective(Section):
    """What a pipeline's model is chosen for."""

    latency_ms: Annotated[Number, Field(gt=0)] | None = None
    """The 95th percentile from capture to result that is asked for."""
    fps: Fps | None = None
    """Results a second that are asked for; with time to spare there are more."""
    prefer: Literal["accuracy", "latency", "memory", "energy"] = "accuracy"
    """What decides among the variants that reach the figures above."""


class Gate(Section):
    """Which frames of a live source get no inference, since they show what the last judged one showed."""

    motion: Flag = False
    """Still pictures are left out: no result comes of them, and the rules are given the last answer again. Never on
    recordings that are read as fast as they go. The governor may do the same to any pipeline on live pictures when the box suffers."""
    at_least_every_s: Annotated[Number, Field(gt=0, le=DAY_S)] = 5.0
    """So long after a look the next picture is looked at in any case; with ``track`` after half a second at the latest."""


class Report(Section):
    """Which results go to the broker. Events always do."""

    results: Literal["all", "changes", "none"] = "all"
    """``changes``: a result that says something other than the one before it."""
    at_least_every_s: Annotated[Number, Field(gt=0, le=DAY_S)] | None = None
    """With ``changes``: a result also when nothing changed for this long. Default: only changes."""
    qos: Annotated[Whole, Field(ge=0, le=1)] = 1
    """1: through the durable outbox; 0: round it, and its gaps are no losses."""


class Selector(Section):
    """Which of the first model's detections the second one looks at."""

    label: Text | None = None
    """Only detections of this label. Default: every one."""
    min_score: Fraction = 0.0
    """Only detections at least this sure."""


class Cascade(Section):
    """A second model on what the first found."""

    model: Name
    """Name of the bundle."""
    on: Selector = Field(default_factory=Selector)
    """What is looked at."""
    at_most: Annotated[Whole, Field(ge=1, le=64)] = 8
    """In one frame, the surest first; the others are left unlooked at."""
    margin: Fraction = 0.1
    """Added around the box on each side, as a fraction of its width and height."""


class Further(Section):
    """What a further model (``then``) has to have said of a detection."""

    model: Name
    """Name of the bundle, as in the pipeline's ``then``."""
    label: Text | None = None
    """A class or a detection of this label. Default: any."""
    min_score: Fraction = 0.0
    """At least this sure."""
    absent: Flag = False
    """Turns it round: the model looked, and said nothing of the kind (a person without a helmet)."""


class When(Section):
    """What a rule looks for in one result: every key that is given has to hold."""

    label: Text | None = None
    """Only this label counts. Default: every one."""
    min_score: Fraction | None = None
    """Only detections, classes and keypoints at least this sure count."""
    zone: Polygon | None = None
    """Only detections whose box has its centre inside count, and keypoints inside; points are fractions of the picture."""
    count: CountText = Count(">=", 1)
    """How many have to count: ``>= 1``, ``== 0``, ``< 3`` …; operators are ``< <= == != >= >``."""
    anomaly: Flag | None = None
    """The result is an anomaly (true) or is none (false)."""
    min_value: Number | None = None
    """The anomaly's score, the value, or the part of a mask that the class covers (0..1) is at least this."""
    max_value: Number | None = None
    """The anomaly's score, the value, or the part of a mask that the class covers (0..1) is at most this."""
    crosses: Segment | None = None
    """Only followed detections count that have just crossed the line from the first point to the second, with the centre of their box.
    Each crossing is an event of its own with ``gap_s = 0``."""
    direction: Literal["left", "right", "both"] = "both"
    """Where to they have to cross, as seen by who looks from the line's first point to its second on the picture."""
    then: Further | None = None
    """Only detections of which a further model said this count."""
    dwell_s: Annotated[Number, Field(gt=0, le=DAY_S)] | None = None
    """Only followed detections count that have passed ``label``, ``min_score`` and ``zone`` for this long; shorter absences than the
    rule's ``gap_s`` do not matter."""

    @model_validator(mode="after")
    def _one_way_of_moving(self) -> When:
        if self.crosses is not None and self.dwell_s is not None:
            message = "cannot use dwell_s together with crosses, expected one of them"
            raise ValueError(message)
        if self.direction != "both" and self.crosses is None:
            message = "cannot use direction without crosses, expected both"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _one_kind_of_result(self) -> When:
        # A label also tells a value, or a class of a mask, from the others; an anomaly has none.
        label = ("label",) if self.anomaly is not None else ()
        found = self._given(*label, "min_score", "zone", "count", "crosses", "dwell_s", "then")
        value = self._given("anomaly", "min_value", "max_value")
        if found and value:
            message = f"cannot use {value[0]} together with {found[0]}, expected keys of one kind of result"
            raise ValueError(message)
        return self

    def _given(self, *keys: str) -> list[str]:
        # By value, since a configuration that was kept and read again has every key set.
        return [key for key in keys if getattr(self, key) != type(self).model_fields[key].default]


def _is_known(action: str, info: ValidationInfo) -> str:
    declared = (info.context or {}).get(ACTIONS, frozenset())
    if action in declared:
        return action
    known = {*declared, *brought("edged.actions")}
    if action not in known:
        message = f"cannot find action {action!r} among the [[action]] tables and what installed packages bring: {nearest(action, known)}"
        raise ValueError(message)
    return action


ActionName = Annotated[Name, AfterValidator(_is_known)]


class Rule(Section):
    """What makes an event. Times are the source's own: presentation or sample stamps."""

    name: Name
    when: When
    """What has to be seen."""
    for_s: Seconds = 0.0
    """It has to be seen for this long before the event starts."""
    gap_s: Seconds = 1.0
    """A shorter absence belongs to the same event."""
    cooldown_s: Seconds = 0.0
    """After an event's end none starts for this long."""
    snapshot: Literal["none", "local", "mqtt"] = "none"
    """Whether a picture is taken when the event starts, with what was found drawn into it: ``local`` keeps it below
    ``snapshots/`` in the state's directory (at most 1000 of a pipeline and 200 MB, the oldest going first), ``mqtt`` sends it
    as a document beside the event. Pictures then keep their size, which costs the time to decode them whole."""
    action: tuple[ActionName, ...] = ()
    """What is done about each of its events besides telling it: ``[[action]]`` tables by name, and actions that installed packages bring
    (docs/actions.md, docs/plug-ins.md)."""


class Drift(Section):
    """The watch for drift: figures of frames and results, held against the bundle's reference or the site's own (docs/drift.md)."""

    watch: Flag = True
    """Whether figures are taken: kept for ``edgectl drift learn``, and judged where there is a reference."""
    every_s: Annotated[Number, Field(gt=0, le=3600)] = 10.0
    """How often figures are taken, in the source's own time. Each feature is judged by as few of them as tell something of their own."""


class Pipeline(Section):
    """A model on a source. Several pipelines may name one source: it is opened and decoded once."""

    name: Name
    source: Name
    """Name of the source."""
    model: Name
    """Name of the bundle."""
    objective: Objective = Field(default_factory=Objective)
    """What the variant is chosen for."""
    priority: Annotated[Whole, Field(ge=-1000, le=1000)] = 0
    """Higher starts first, and is the last to give way when memory or time is short."""
    report: Report = Field(default_factory=Report)
    """Which results go to the broker."""
    gate: Gate = Field(default_factory=Gate)
    """Which frames need no inference."""
    min_fps: Annotated[Number, Field(gt=0, le=1000)] | None = None
    """Frames a second below which the governor does not go. Default: the objective's ``fps``, or 1."""
    rule: tuple[Rule, ...] = ()
    """What makes events."""
    drift: Drift = Field(default_factory=Drift)
    """The watch for drift."""
    track: Flag = False
    """Whether detections are followed from frame to frame: each object gets a number, and rules may ask for crossed lines and for
    dwelling."""
    then: tuple[Cascade, ...] = ()
    """Further models on what this one found."""
    calibrate_s: Annotated[Number, Field(gt=0, le=YEAR_S)] | None = None
    """How much normal running a model that calibrates itself looks at first, in the source's own time. Default: as the bundle says. Longer
    where the machine's normal work has a longer cycle."""
    pin: Text | None = None
    """Id of the variant that has to be used, whatever would be chosen."""

    @model_validator(mode="after")
    def _rules_differ(self) -> Pipeline:
        names = [rule.name for rule in self.rule]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            message = f"cannot tell rules apart: {twice[0]!r} stands twice, expected each name once"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _rules_have_what_they_ask_for(self) -> Pipeline:
        models = {cascade.model for cascade in self.then}
        for rule in self.rule:
            when = rule.when
            if (when.crosses is not None or when.dwell_s is not None) and not self.track:
                message = f"cannot use rule {rule.name!r}: crosses and dwell_s follow objects, expected track = true in the pipeline"
                raise ValueError(message)
            if when.then is not None and when.then.model not in models:
                known = ", ".join(sorted(models)) or "none"
                asked = f"its then asks {when.then.model!r}"
                message = f"cannot use rule {rule.name!r}: {asked}, expected a model of the pipeline's then: {known}"
                raise ValueError(message)
        return self
