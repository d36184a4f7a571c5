"""Runs a candidate beside what is live, on frames of every pipeline that runs its model, and tells how far the two agree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from edged.assembly.box import Box, free_mb, ladder, own_mb
from edged.assembly.models import open_rung
from edged.assembly.trying import OWN_MB
from edged.assembly.understudy import Understudy
from edged.assembly.update_reports import UpdateReports
from edged.assembly.uses import Use
from edged.domain.bundle import Bundle
from edged.domain.ports import Clock
from edged.domain.variant import Rung
from edged.pipeline.line import Line, Pipeline
from edged.pipeline.loop import Loop
from edged.update.ports import Shadow
from edged.update.records import Ordered
from edged.update.shadow import Demands, Ruling, rule

CANNOT = "goes on without shadow: "


@dataclass(frozen=True, slots=True)
class _Session:
    """One candidate at it, the order that it is for, and since when."""

    order: Ordered
    candidate: Understudy
    begun_ns: int


class Shadowing:
    """One candidate a model. Called by the agent's thread alone.

    What cannot be compared goes on without: an order must not wait for memory that a box will never have, or for frames that no
    pipeline takes, and the probation still watches it. The reason is told.
    """

    def __init__(
        self,
        lines: Callable[[], Sequence[Line]],
        model_of: Callable[[str], str | None],
        uses: Callable[[str], tuple[Use, ...]],
        box: Box,
        reports: UpdateReports,
        clock: Clock,
    ) -> None:
        self._lines, self._model_of, self._uses, self._box = lines, model_of, uses, box
        self._reports, self._clock = reports, clock
        self._sessions: dict[str, _Session] = {}

    def __repr__(self) -> str:
        return f"<Shadowing {', '.join(repr(one.candidate) for one in self._sessions.values()) or 'nothing'}>"

    @property
    def is_busy(self) -> bool:
        """Whether a candidate runs. Safe on any thread."""
        return bool(self._sessions)

    def rule(self, shadow: Shadow) -> Ruling:
        """Rule on a candidate, which begins to run beside what is live with the first call."""
        order, session = shadow.order, self._sessions.get(shadow.model)
        if session is None or session.order != order:
            self.part(shadow.model)
            why = self._begun(shadow)
            if why:
                return Ruling("go-on", CANNOT + why)
        session = self._sessions[shadow.model]
        seen, elapsed_s = session.candidate.compared, (self._clock.monotonic_ns() - session.begun_ns) / 1e9
        self._attend(shadow.model, session)
        if session.candidate.unfit:
            return Ruling("go-on", CANNOT + session.candidate.unfit)
        ruling = rule(seen, Demands(order.shadow_frames, order.shadow_agreement), elapsed_s)
        counts = {"compared": seen.frames, "agreed": seen.agreed, "of": order.shadow_frames}
        if ruling.what == "compare":
            self._reports.compared(shadow.model, counts)
        else:
            self._reports.figures(shadow.model, {"shadow": counts})
        return ruling

    def part(self, model: str) -> None:
        """End what runs beside a model, if anything does."""
        session = self._sessions.pop(model, None)
        if session is not None:
            for pipeline in self._pipelines():
                if pipeline.companion is not None:
                    pipeline.companion.leave(session.candidate)
            session.candidate.close()

    def _begun(self, shadow: Shadow) -> str:
        """Have the candidate opened; gives why it cannot be compared."""
        bundle = shadow.bundle
        rung = self._rung(bundle)
        why = self._objection(shadow.model, bundle, rung)
        if why or rung is None:
            return why
        opens = partial(open_rung, bundle, rung, replace(self._box.engines, aside=True))
        candidate = Understudy(bundle, rung.variant, opens)
        self._sessions[shadow.model] = _Session(shadow.order, candidate, self._clock.monotonic_ns())
        return ""

    def _objection(self, model: str, bundle: Bundle, rung: Rung | None) -> str:
        if not self._concerned(model):
            return "no pipeline runs the model now"
        if rung is None:
            return "none of its variants can run now"
        if bundle.state_of(rung.variant):
            return "it remembers earlier frames, of which it would see some only"
        if bundle.manifest.calibration is not None:
            return "it first learns what is normal on this box"
        return self._lacks_room(bundle, rung)

    def _lacks_room(self, bundle: Bundle, rung: Rung) -> str:
        """Hold what it needs beside everything that runs to the memory that is left."""
        room_mb = free_mb(self._box)
        needed_mb = own_mb(bundle, rung) + OWN_MB
        if room_mb is None or needed_mb <= room_mb:
            return ""
        return (
            f"the memory does not hold both, it needs {needed_mb:.0f} MiB beside what runs, {room_mb:.0f} MiB are left"
        )

    def _rung(self, bundle: Bundle) -> Rung | None:
        """Give the rung that would run for the most important of its uses."""
        use = self._uses(bundle.manifest.name)[0]
        return next(iter(ladder(bundle, self._box, use.pin, use.objective).runnable), None)

    def _attend(self, model: str, session: _Session) -> None:
        """Have every pipeline that runs the model hand frames over: one may have been built anew, or come later."""
        for pipeline in self._concerned(model):
            if pipeline.companion is not None and not pipeline.companion.attends(session.candidate):
                pipeline.companion.attend(session.candidate, session.order.shadow_one_in)

    def _concerned(self, model: str) -> list[Pipeline]:
        return [
            one
            for one in self._pipelines()
            if self._model_of(one.name) == model and isinstance(one.worker.steps, Loop) and one.companion is not None
        ]

    def _pipelines(self) -> list[Pipeline]:
        return [one for line in self._lines() for one in line.pipelines]
