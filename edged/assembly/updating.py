"""The agent: takes orders, and brings what they name as far as it goes, on a thread of its own that holds up nothing else."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from edged.assembly.accepted import Accepted
from edged.assembly.going_live import GoingLive
from edged.assembly.side_part import SidePart
from edged.assembly.supply import BusyError, Supply
from edged.assembly.update_reports import UpdateReports
from edged.domain.errors import EdgedError, RejectedError
from edged.domain.health import Reason
from edged.domain.ports import Clock
from edged.fleet.backoff import Backoff, Retry
from edged.telemetry import logs
from edged.update.delivered import CANCELLED, DeliveredWay, ordered
from edged.update.desired import Audience, Desired, Order
from edged.update.ports import Courier, Site
from edged.update.records import Ordered, Pointer
from edged.update.rollout import CHANGING, SETTLED, Event, State
from edged.update.slots import Change

PART = ".updating"
"""Its name among the daemon's parts; no source can have it."""
IDLE_S = 30.0
"""It is woken by every order; this is for what nobody tells: a clock that is right at last, a disk that has room again."""
RETRIES = Backoff(base_s=5.0, cap_s=900.0)
"""Full jitter: a fleet whose repository was away does not come back at once."""
URGENT_S = 1.0
"""How soon it is tried again to bring back what ran before: meanwhile something bad runs."""
LOOK_S = 1.0
"""How soon it is looked whether an order was judged; it is woken by that, too."""
CONFIGURATION = ".configuration"
BROKER, FOLDER = "", " in the folder"
"""Where an order was found: one that is older must not push a later one out before either was judged."""
_BACK = frozenset({Event.RESTORED, Event.EMPTIED, Event.WITHDRAWN, Event.CANCELLED})
"""After these another release shall run than the one that runs."""

_LOG = logging.getLogger("edged.updating")


Asks = Callable[[str, bytes, Callable[[], Desired]], "Desired | None"]
"""``Errands.ask``: gives what is asked for, or None as long as that is not done."""


class Slot(Protocol):
    """Something else that takes orders by the same table: the configuration."""

    def tick(self, desired: Desired | None) -> float | None:
        """Go on as far as it goes now; gives the seconds until it shall go on, None when nothing is left to do."""

    def ended_well(self) -> None:
        """Note that edged ends because it was asked to."""


@dataclass(slots=True)
class _Tries:
    """How often something failed in a row, and until when it is left alone."""

    retry: Retry
    not_before_ns: int = 0


class Updating(SidePart):
    """A part of the daemon. ``take`` hands it what lies on a topic of orders; ``site`` is this box as an order meets it."""

    def __init__(
        self,
        courier: Courier,
        accepted: Accepted,
        supply: Supply,
        live: GoingLive,
        reports: UpdateReports,
        clock: Clock,
        configuring: Slot | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        super().__init__("edged-updating")
        self._courier, self._accepted, self._supply = courier, accepted, supply
        self._live, self._reports, self._clock = live, reports, clock
        self.configuring, self._jitter = configuring, jitter
        self.site: Site | None = None
        self.looks_for_orders: Callable[[], None] | None = None
        """Looks where orders may lie besides the broker, and takes them."""
        self.asks: Asks = _at_once
        """Who judges: on another thread, a repository that hangs keeps nobody from taking back what is on probation."""
        self._waiting: dict[tuple[Audience, str], bytes] = {}
        self._in_hand: set[str] = set()
        """Being judged: what goes live next may be what they take back."""
        self._has_news = self._is_asked = False
        self._ways: dict[str, DeliveredWay] = {}
        self._tries: dict[str, _Tries] = {}
        self._refused_cancels: set[tuple[str, str]] = set()
        self._broken: dict[str, str] = {}
        self._inbox = threading.Lock()
        self._wake = threading.Event()
        self._doing = "waits"
        supply.updater.slots.told = self._told

    def __repr__(self) -> str:
        return f"<Updating: {self._doing}, {self._accepted!r}>"

    # -- the daemon's part

    def stop(self) -> None:
        """Ask it to end; a download goes on where it was at the next start.

        What is on trial or on probation is told here, not at the thread's end: that may come too late, or never.
        """
        super().stop()
        self._wake.set()
        self._end_well()

    def reload(self) -> None:
        """Look again now, at what is left alone for a while, too."""
        self._is_asked = True
        self._wake.set()

    def reasons(self) -> Sequence[Reason]:
        """Orders that cannot be judged. What runs is not worse for one that waits; out/update tells of those."""
        return self._reports.reasons()

    # -- orders

    def take(self, audience: Audience, envelope: bytes, where: str = BROKER) -> None:
        """Take what lies somewhere for an audience; the newest of each place counts. Safe on any thread; returns at once."""
        with self._inbox:
            is_waiting = self._waiting.get((audience, where)) == envelope
            if not envelope or is_waiting or self._accepted.is_known(audience, envelope):
                return
            self._waiting[audience, where] = envelope
            self._has_news = True
        self._wake.set()

    def nudge(self) -> None:
        """Look again now: something that takes long is done. Safe on any thread."""
        self._wake.set()

    def is_called_back(self) -> bool:
        """Whether a download, and what waits to go live, shall pause: something was ordered and is not judged yet, or edged ends."""
        return self._has_news or bool(self._in_hand) or self._stop.is_set()

    def is_ending(self) -> bool:
        """Whether edged ends: what takes long shall not go on."""
        return self._stop.is_set()

    def tick(self) -> float:
        """Do what is due; gives the seconds until something is due again.

        What is live and may have to be taken back comes first, and whatever goes wrong with one thing holds up none of the others.
        """
        updater, waits = self._supply.updater, []
        if self.looks_for_orders is not None:
            self.looks_for_orders()
        if self._is_asked:
            self._is_asked = False
            for tries in self._tries.values():
                tries.not_before_ns = 0
        changing = [model for model in updater.models() if updater.slots.pointer(model).state in CHANGING]
        waits += [self._guarded(model, partial(self._look_after, model), URGENT_S) for model in sorted(changing)]
        configured = self._accepted.configuration()
        waits.append(self._guarded(CONFIGURATION, self._configure, URGENT_S))
        waits.append(self._judge())
        if self._accepted.configuration() is not configured:
            waits.append(self._guarded(CONFIGURATION, self._configure, URGENT_S))
        others = {*self._accepted.models(), *updater.models()} - {*changing}
        waits += [self._guarded(model, partial(self._look_after, model)) for model in sorted(others)]
        return min((wait for wait in waits if wait is not None), default=IDLE_S)

    def _run(self) -> None:
        while not self._stop.is_set():
            wait_s = IDLE_S
            try:
                wait_s = self.tick()
            except Exception:  # noqa: BLE001 - the pipelines run without updates, too: whatever happens here is no reason to end
                _LOG.exception("updating.broken")
            self._doing = "waits"
            self._wake.wait(min(wait_s, IDLE_S))
            self._wake.clear()
        self._end_well()  # once more: something may have come to its trial since it was asked to end
        if self.site is not None:
            for model in self._supply.updater.models():
                self.site.part(model)

    def _end_well(self) -> None:
        self._supply.updater.ended_well()
        if self.configuring is not None:
            self.configuring.ended_well()

    def _guarded(self, name: str, work: Callable[[], float | None], again_s: float | None = None) -> float | None:
        """Do something that holds up nothing else if it breaks. Gives when it is due again."""
        if self._stop.is_set():
            return None
        try:
            wait_s = work()
        except Exception as error:  # noqa: BLE001 - the pipelines run without updates, too: whatever happens here is no reason to end
            if self._broken.get(name) != repr(error):
                _LOG.exception("updating.broken", extra={logs.FIELDS: {"what": name}})
            self._broken[name] = repr(error)
            return self._put_off(name, again_s)
        self._broken.pop(name, None)
        return wait_s

    def _judge(self) -> float | None:
        """Judge what came; what cannot be judged now stays."""
        with self._inbox:
            waiting, self._has_news = dict(self._waiting), False
        waits = [
            self._guarded(f"{audience}{where}", partial(self._judge_one, audience, where, envelope))
            for (audience, where), envelope in waiting.items()
        ]
        return min((wait for wait in waits if wait is not None), default=None)

    def _judge_one(self, audience: Audience, where: str, envelope: bytes) -> float | None:
        name = f"{audience}{where}"
        held_s = self._held_s(name)
        if held_s is not None:
            return held_s
        self._doing = f"judges the order for {name}"
        self._in_hand.discard(name)
        try:
            judge = partial(self._courier.judge, envelope, audience, self.is_ending)
            desired = self.asks(f"judge-{name}", envelope, judge)
            if desired is None:
                self._in_hand.add(name)
                return LOOK_S
            self._accepted.put(audience, envelope, desired)
        except RejectedError as error:
            self._reports.refused(audience, error)
        except EdgedError as error:
            if error.code != CANCELLED:
                self._reports.unjudged(audience, error)
            return self._put_off(name)
        else:
            self._reports.judged(audience)
        self._tries.pop(name, None)
        with self._inbox:
            if self._waiting.get((audience, where)) == envelope:
                del self._waiting[audience, where]
        return None

    def _configure(self) -> float | None:
        if self.configuring is None:
            return None
        return self.configuring.tick(self._accepted.configuration())

    # -- models

    def _look_after(self, model: str) -> float | None:
        try:
            return self._carry(model, self._accepted.models().get(model), self._supply.updater.slots.pointer(model))
        except BusyError:
            return LOOK_S  # whoever is on probation meanwhile is not waiting for it

    def _carry(self, model: str, order: Order | None, pointer: Pointer) -> float | None:
        """Bring a model to where its order wants it, as far as that goes now."""
        wanted = ordered(order) if order is not None and order.wanted is not None else None
        if order is not None and wanted is None:
            pointer = self._withdraw(model, order, pointer)
        target = pointer.order if wanted is None or pointer.state in CHANGING else wanted
        if target is None or (wanted is None and pointer.wanted is None):
            return None
        is_new = pointer.order is None or pointer.order.document != target.document
        if (not is_new and pointer.finished) or (is_new and order is not None and self._is_late(model, order)):
            return None
        if is_new:
            self._tries.pop(model, None)
        held_s = self._held_s(model)
        return held_s if held_s is not None else self._go_on(model, target, wanted)

    def _go_on(self, model: str, target: Ordered, wanted: Ordered | None) -> float | None:
        way = self._way(model, target)
        self._doing = f"brings {model} {target.version}"
        try:
            if not self._supply.updater.is_on_its_way(model, target):
                with self._supply.turn():
                    self._supply.updater.take_up(model, target)
            pause = self._supply.updater.carry(way)
        except BusyError:
            raise
        except EdgedError as error:
            self._reports.hindered(model, target, error)
            is_urgent = self._supply.updater.slots.pointer(model).state in CHANGING
            return self._put_off(model, URGENT_S if is_urgent else None)
        pointer = self._supply.updater.slots.pointer(model)
        if pause.seconds is not None:
            return pause.seconds
        self._ways.pop(model, None)
        if pointer.wanted is not None and pointer.state in SETTLED:
            return self._put_off(model)
        self._tries.pop(model, None)
        return 0.0 if wanted is not None and wanted.document != target.document else None

    def _withdraw(self, model: str, order: Order, pointer: Pointer) -> Pointer:
        if pointer.order is None:
            return pointer
        with self._supply.turn():
            is_done = self._supply.updater.withdraw(model)
        key = (model, order.source.digest)
        if not is_done and key not in self._refused_cancels:
            self._refused_cancels.add(key)
            self._reports.not_cancelled(model, pointer.order)
        return self._supply.updater.slots.pointer(model)

    def _is_late(self, model: str, order: Order) -> bool:
        """Whether an order must not be begun any more; told once."""
        if not self._clock.synced() or self._clock.wall_ns() // 1_000_000 < order.source.not_after_ms:
            return False
        key = (model, order.source.digest)
        if key not in self._refused_cancels:
            self._refused_cancels.add(key)
            message = (
                f"cannot begin order {order.source.seq} for {model}: it has ended, expected one that is still valid"
            )
            self._reports.refused(order.source.audience, RejectedError(message, code="expired"))
        return True

    def _way(self, model: str, order: Ordered) -> DeliveredWay:
        way = self._ways.get(model)
        if way is None or way.order != order:
            assert self.site is not None  # noqa: S101 - set before it starts
            way = self._ways[model] = self._supply.way(model, order, self.site)
        return way

    def _told(self, change: Change) -> None:
        self._reports.tell(change)
        self._supply.looks += 1
        if change.before.state is State.SHADOWING and self.site is not None:
            self.site.part(change.model)  # no event leads from there to where it is
        if change.event in _BACK:
            self._live.look()

    # -- patience

    def _held_s(self, name: str) -> float | None:
        tries = self._tries.get(name)
        left_ns = tries.not_before_ns - self._clock.monotonic_ns() if tries is not None else 0
        return left_ns / 1e9 if left_ns > 0 else None

    def _put_off(self, name: str, again_s: float | None = None) -> float:
        """Leave it alone for a while that grows, or for ``again_s``."""
        tries = self._tries.setdefault(name, _Tries(Retry(RETRIES, self._jitter)))
        wait_s = tries.retry.after(0.0) if again_s is None else again_s
        tries.not_before_ns = self._clock.monotonic_ns() + int(wait_s * 1e9)
        return wait_s


def _at_once(_name: str, _of: bytes, work: Callable[[], Desired]) -> Desired:
    return work()
