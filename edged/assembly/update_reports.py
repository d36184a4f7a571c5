"""The word to the fleet about updates: one document on out/update for each transition, progress in between, and what was refused."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from edged.domain.errors import EdgedError
from edged.domain.health import Reason
from edged.domain.message import Draft
from edged.domain.ports import Outbox
from edged.fleet.topics import ALERT, UPDATE, Stamper
from edged.telemetry import logs
from edged.update.desired import Audience
from edged.update.records import Ordered
from edged.update.rollout import SETTLED, Event, State
from edged.update.slots import Change

SCHEMA = "edged.update/1"
CANCEL_REJECTED = "cancel-rejected"
PROGRESS_S = 2.0
PROGRESS_SHARE = 0.05
PRIORITY, PROGRESS_PRIORITY = 0, 2
ROLLED_BACK = "model-rolled-back"
ATTACKS = frozenset({"rollback-attack", "tampered", "unsigned", "digest", "trust", "slow-retrieval"})
"""What somebody between the signers and the box, or who serves the repository, can bring about: a person shall look at it."""
ATTACKED, UNJUDGED = "update-attack", "order-unjudged"
_BACK = frozenset({Event.RESTORED, Event.EMPTIED, Event.LOST})

_LOG = logging.getLogger("edged.updating")


class UpdateReports:
    """Puts them into the outbox. Thread-safe as that is."""

    def __init__(self, outbox: Outbox, stamper: Stamper) -> None:
        self._outbox, self._stamper = outbox, stamper
        self._orders: dict[str, Ordered] = {}
        self._figures: dict[str, Mapping[str, Any]] = {}
        self._progress: dict[str, tuple[int, int]] = {}
        self._hindered: dict[str, str] = {}
        self._underway: dict[str, dict[str, Any]] = {}
        self._unjudged: dict[Audience, tuple[str, Reason]] = {}
        self._alarmed: dict[str, str] = {}

    def reasons(self) -> Sequence[Reason]:
        """Give the orders that cannot be judged now. Safe on any thread."""
        return [reason for _, reason in list(self._unjudged.values())]

    def underway(self) -> Sequence[Mapping[str, Any]]:
        """Give the updates that are on their way: model, version, state, and of a download ``done`` and ``of`` how many bytes.

        Of a candidate that runs beside what is live they are frames. Safe on any thread.
        """
        return list(self._underway.values())

    def tell(self, change: Change) -> None:
        """Tell of a transition. Of a folder's bundle only how it ended: nobody out there waits for it."""
        after, subject = change.after, change.subject
        order = after.order if after.order is not None else change.before.order
        if order is None and after.state not in SETTLED:
            return
        if order is not None:
            self._orders[change.model] = order
        named = change.model.removeprefix(".")
        version = subject.version if subject else (order.version if order else None)
        self._follow(named, after.state, order.version if order is not None else version, after.reason)
        logs.event(
            _LOG, "update.state", model=named, state=after.state.value, event=change.event.value, reason=after.reason
        )
        body = {
            "model": named,
            "state": after.state.value,
            "event": change.event.value,
            "version": version,
            "digest": f"sha256:{subject.digest}" if subject else None,
            "attempt": after.attempt,
            "reason": after.reason,
            "code": after.code,
            "figures": dict(self._figures.pop(change.model, {})),
        }
        self._put(body, order)
        self._hindered.pop(change.model, None)
        if change.event in _BACK:
            self._alert(named, change)
        if after.code in ATTACKS and order is not None:
            self._alarm(named, f"{order.document} {after.code}", f"model:{named}", f"{after.code}: {after.reason}")

    def figures(self, model: str, figures: Mapping[str, Any]) -> None:
        """Keep what a trial measured for the next transition's document."""
        self._figures[model] = figures

    def progress(self, model: str, done: int, total: int) -> None:
        """Tell how far a download is: every two seconds or twentieth part, whichever comes later, and never late."""
        self._come(model, done, total)
        if not self._is_due(model, done, total):
            return
        body = {
            "model": model,
            "state": State.DOWNLOADING.value,
            "progress": {"done_bytes": done, "total_bytes": total},
        }
        self._put(body, self._orders.get(model), qos=0, priority=PROGRESS_PRIORITY)

    def compared(self, model: str, counts: Mapping[str, int]) -> None:
        """Tell how far a candidate that runs beside what is live has come: as often as of a download."""
        done, total = counts["compared"], counts["of"]
        self._come(model, done, total)
        if self._is_due(model, done, total):
            body = {"model": model, "state": State.SHADOWING.value, "shadow": dict(counts)}
            self._put(body, self._orders.get(model), qos=0, priority=PROGRESS_PRIORITY)

    def refused(self, audience: Audience, error: EdgedError) -> None:
        """Tell of an order that was not even accepted."""
        logs.event(_LOG, "order.refused", level=logging.WARNING, audience=audience, code=error.code, error=error)
        self._settle(audience)
        body = {"model": None, "audience": str(audience), "state": State.REJECTED.value}
        self._put({**body, "reason": str(error), "code": error.code}, None)

    def unjudged(self, audience: Audience, error: EdgedError) -> None:
        """Tell of an order that cannot be judged now: once for each cause, however often it is tried."""
        logs.event(_LOG, "order.unjudged", level=logging.WARNING, audience=audience, code=error.code, error=error)
        if self._unjudged.get(audience, ("",))[0] == error.code:
            return
        is_attack = error.code in ATTACKS
        message = f"the order for {audience} cannot be judged ({error.code}): {error.args[0]}"
        since_ns = self._stamper.clock.monotonic_ns()
        reason = Reason(UNJUDGED, "updates", message, since_ns, error.remedy, informs=not is_attack)
        self._unjudged[audience] = (error.code, reason)
        body = {"model": None, "audience": str(audience), "state": State.POSTPONED.value}
        self._put({**body, "reason": str(error), "code": error.code}, None)
        if is_attack:
            self._alarm(str(audience), error.code, "updates", message)

    def judged(self, audience: Audience) -> None:
        """Tell that an order could be judged after all; nothing where it could from the first."""
        if self._settle(audience):
            self._put({"model": None, "audience": str(audience), "state": State.ACCEPTED.value}, None)

    def hindered(self, model: str, order: Ordered, error: EdgedError) -> None:
        """Tell what not even the disk could be told: once for each cause until something moves."""
        if self._hindered.get(model) == error.code:
            return
        self._hindered[model] = error.code
        logs.event(_LOG, "update.hindered", level=logging.WARNING, model=model, error=error)
        self._put({"model": model, "state": State.FAILED.value, "reason": str(error), "code": error.code}, order)

    def not_cancelled(self, model: str, order: Ordered) -> None:
        """Tell that it is too late to take an order back."""
        reason = "it goes live, or is on probation: it comes to its end first"
        self._put({"model": model, "state": CANCEL_REJECTED, "reason": reason, "code": CANCEL_REJECTED}, order)

    def _follow(self, model: str, state: State, version: str | None, reason: str) -> None:
        if state in SETTLED:
            self._underway.pop(model, None)
        else:
            self._underway[model] = {"model": model, "version": version, "state": state.value, "reason": reason}

    def _come(self, model: str, done: int, total: int) -> None:
        known = self._underway.get(model)
        if known is not None:
            # Replaced, and not changed: others read it meanwhile.
            self._underway[model] = {**known, "done": done, "of": total}

    def _is_due(self, model: str, done: int, total: int) -> bool:
        now_ns = self._stamper.clock.monotonic_ns()
        told_ns, told = self._progress.get(model, (now_ns - int(PROGRESS_S * 1e9), -total))
        if now_ns - told_ns < PROGRESS_S * 1e9 or abs(done - told) < PROGRESS_SHARE * total:
            return False
        self._progress[model] = (now_ns, done)
        return True

    def _settle(self, audience: Audience) -> bool:
        """Forget that an order could not be judged; whether that was so."""
        self._alarmed.pop(str(audience), None)
        return self._unjudged.pop(audience, None) is not None

    def _alert(self, named: str, change: Change) -> None:
        """Call somebody: what ran is withdrawn, or was lost, and what takes its place may be old."""
        now = change.after.active
        goes_on = (
            f"{now.version} goes on"
            if now is not None
            else "nothing that was live is left, what the folders offer is next"
        )
        remedy = "edgectl audit tells what ran when; order a mended release"
        self._call(ROLLED_BACK, f"model:{named}", f"{goes_on}: {change.after.reason}", remedy)

    def _alarm(self, subject: str, cause: str, component: str, message: str) -> None:
        """Call somebody about what looks like an attack; once for each cause in a row."""
        if self._alarmed.get(subject) != cause:
            self._alarmed[subject] = cause
            self._call(ATTACKED, component, message, "look at the repository and at the way to it")

    def _call(self, code: str, component: str, message: str, remedy: str) -> None:
        body = {
            "schema": "edged.alert/1",
            "code": code,
            "component": component,
            "message": message,
            "remedy": remedy,
        }
        self._outbox.put(Draft(ALERT, {**body, **self._stamper.now()}, lane="event", priority=PRIORITY))

    def _put(self, body: dict[str, Any], order: Ordered | None, qos: int = 1, priority: int = PRIORITY) -> None:
        told = {"schema": SCHEMA, "order": order.told() if order else None, **body, **self._stamper.now()}
        self._outbox.put(Draft(UPDATE, told, lane="event" if qos else "telemetry", qos=qos, priority=priority))
