"""The parent's side of updates over the air: what was ordered, and the file that it names, both verified by a short-lived child.

The child (``update_child.py``) holds everything that verifying and downloading need, and gives its memory back when it ends. It has no
memory of its own: what it saw is judged against the marks here, and written down here before it goes on.
"""

from __future__ import annotations

import base64
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

from edged.assembly.courier_child import CourierChild
from edged.domain.artefact import VerifiedArtefact
from edged.domain.errors import DeviceError, EdgedError, RejectedError, RetryableError
from edged.domain.ports import Clock
from edged.telemetry import logs
from edged.update.desired import PAYLOAD_TYPE, Audience, Desired, ModelOrder, audiences, check, parse
from edged.update.trust import Mark, Marks
from edged.update.trust_file import TrustFile

Packer = Callable[[Path], None]
"""Writes the packed file of a release that the box has."""

_NS_PER_MS = 1_000_000
_LOG = logging.getLogger("edged.courier")


@dataclass(frozen=True, slots=True)
class CourierSettings:
    """``repository`` is a URL, ``mqtt`` or a folder; ``trust`` the provisioned root metadata, or a file of the small profile's keys."""

    repository: str
    trust: Path
    state: Path
    device: str
    groups: tuple[str, ...] = ()
    profile: str = ""
    """The device profile in force, to which a release that names profiles is held; empty: to none."""
    max_kbps: int | None = None

    @property
    def incoming(self) -> Path:
        """Where downloads lie."""
        return self.state / "incoming"

    @property
    def own(self) -> tuple[Audience, ...]:
        """Whose orders count, in their order."""
        return audiences(self.device, self.groups)


class Conversation(Protocol):
    """A child that was told what to do; ``CourierChild`` is one."""

    def push(self, message: Any) -> None:
        """Send something, soon."""

    def converse(self, hear: Callable[[dict[str, Any]], bool], cancelled: Callable[[], bool]) -> None:
        """Hand each of its messages to ``hear`` until that says that it has heard enough."""

    def end(self) -> None:
        """End it."""


class Courier:
    """One call at a time: others wait, but for ``judge``, which interrupts a fetch: that goes on where it was when it is called again.

    ``take`` and ``marks`` may be called from any thread.

    ``ask`` publishes a document of schema ``edged.get/1`` (without stamps) on ``out/get`` at QoS 0; needed for ``mqtt`` alone. ``bases``
    gives, for a model, the releases that the box has: the digest that their file had, and who packs it again; for deltas.
    """

    def __init__(
        self,
        settings: CourierSettings,
        trust: TrustFile,
        clock: Clock,
        ask: Callable[[dict[str, Any]], None] = lambda _document: None,
        bases: Callable[[str], Mapping[str, Packer]] = lambda _model: {},
        start: Callable[[dict[str, Any]], Conversation] = CourierChild,
    ) -> None:
        self._settings, self._trust, self._clock, self._ask = settings, trust, clock, ask
        self._bases, self._start = bases, start
        self._marks = trust.read()
        self._turn, self._judges = threading.Lock(), threading.Event()
        self._child: Conversation | None = None

    def __repr__(self) -> str:
        seen = ", ".join(f"{name} {mark.version}" for name, mark in self._marks.roles.items()) or "nothing yet"
        return f"<Courier from {self._settings.repository}: {'busy' if self._child else 'idle'}, saw {seen}>"

    @property
    def marks(self) -> Marks:
        """What was seen of the signers so far, and the time floor."""
        return self._marks

    def judge(self, envelope: bytes, audience: Audience, cancelled: Callable[[], bool] = lambda: False) -> Desired:
        """Verify an order found at ``audience``'s topic and remember its number; the same one again is no fault.

        Raises:
            RejectedError: It must not be followed: malformed, signature, other-audience, expired, replayed, seq-reused.
            RetryableError: Nothing can be said now, ask again later: network, metadata-expired, rollback-attack, tampered, unsigned,
                trust (the provisioned root is none), disk, cancelled (``cancelled`` said so; it is asked five times a second) …
        """
        self._judges.set()
        with self._turn:
            self._judges.clear()
            order = {"verb": "judge", "envelope": base64.b64encode(envelope).decode(), "payload_type": PAYLOAD_TYPE}
            judged = self._run(order, lambda _done, _all: None, cancelled)["judged"]
            desired = parse(base64.b64decode(judged["payload"]))
            check(desired, audience, self._settings.own, self._marks.time_ms(self._wall_ms()))
            marks = self._marks.with_order(desired)
            # A keeper whose clock is a century ahead must not take the boxes along: the repository itself ends before that.
            signed_ms = min(desired.issued_ms, judged["until_ms"])
            self._keep(marks.after(self._wall_ms(), synced=self._clock.synced(), signed_ms=signed_ms))
            return desired

    def fetch(
        self,
        order: ModelOrder,
        progress: Callable[[int, int], None] = lambda _done, _all: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> VerifiedArtefact:
        """Bring what was ordered below ``incoming/``, resuming what is there. The file is the caller's to remove.

        Args:
            order: From ``judge``.
            progress: Called with the bytes that are there and all, at most twice a second.
            cancelled: Asked five times a second; True ends it with RetryableError, code ``cancelled``. What came is kept for a resume.

        Raises:
            RejectedError: not-offered, mismatch (the repository's signers say otherwise), incompatible.
            RetryableError: network, slow-retrieval, absent, digest, disk-full, cancelled, crashed, and as ``judge``.
        """

        def interrupted() -> bool:
            return self._judges.is_set() or cancelled()

        with self._turn:
            return self._fetched(order, progress, interrupted)

    def take(self, block: bytes) -> None:
        """Take what came on ``in/file``; ignored unless a download over MQTT waits for it. Returns at once."""
        child = self._child
        if child is not None and self._settings.repository == "mqtt":
            child.push(block)

    def _fetched(
        self, order: ModelOrder, progress: Callable[[int, int], None], cancelled: Callable[[], bool]
    ) -> VerifiedArtefact:
        bases = self._bases(order.model)
        answer = self._run(self._told(order, bases), progress, cancelled)["fetched"]
        if answer["base"] and not self._patched(order, answer["path"], bases[answer["base"]], cancelled):
            # Whatever was wrong with the delta: the whole file always works.
            answer = self._run(self._told(order, {}), progress, cancelled)["fetched"]
        elif answer["base"]:
            answer["path"] = str(self._settings.incoming / order.sha256)
        return VerifiedArtefact(
            order.model, order.version, order.length, order.sha256, Path(answer["path"]), answer["custom"]
        )

    def _patched(self, order: ModelOrder, delta: str, pack: Packer, cancelled: Callable[[], bool]) -> bool:
        """Make the file of a delta and of what the box has, packed again; whether that went well."""
        base = Path(f"{delta}.base")
        told = {"verb": "patch", "path": delta, "base": str(base), "sha256": order.sha256, "length": order.length}
        try:
            pack(base)
            self._run({**told, "incoming": str(self._settings.incoming)}, lambda _done, _all: None, cancelled)
        except (EdgedError, OSError) as error:
            if getattr(error, "code", "") == "cancelled":
                raise
            logs.event(_LOG, "update.delta-failed", level=logging.WARNING, model=order.model, error=error)
            return False
        finally:
            base.unlink(missing_ok=True)
            Path(delta).unlink(missing_ok=True)
        return True

    def _told(self, order: ModelOrder, bases: Mapping[str, Packer]) -> dict[str, Any]:
        return {
            "verb": "fetch",
            "name": order.model,
            "version": order.version,
            "target": order.target,
            "length": order.length,
            "sha256": order.sha256,
            "edged": version("edged"),
            "profile": self._settings.profile,
            "max_kbps": self._settings.max_kbps,
            "incoming": str(self._settings.incoming),
            "bases": list(bases),
        }

    def _run(
        self, order: dict[str, Any], progress: Callable[[int, int], None], cancelled: Callable[[], bool]
    ) -> dict[str, Any]:
        """Have a child do it. Gives its last message, and raises what it failed with."""
        settings, answer = self._settings, {}
        self._keep(self._marks.after(self._wall_ms(), synced=self._clock.synced()))
        common = {
            "repository": settings.repository,
            "trust": str(settings.trust),
            "metadata": str(settings.state / "trust" / "metadata"),
            "audiences": [{one.kind: one.name} for one in settings.own],
            "time_ms": self._marks.time_ms(self._wall_ms()),
        }
        child = self._start({**common, **order})

        def hear(message: dict[str, Any]) -> bool:
            answer.update(message)
            return self._heard(message, child, progress)

        self._child = child
        try:
            child.converse(hear, cancelled)
        finally:
            self._child = None
            child.end()
        return answer

    def _heard(self, message: dict[str, Any], child: Conversation, progress: Callable[[int, int], None]) -> bool:
        ((kind, content),) = message.items()
        if kind == "seen":
            seen = {name: Mark(number, keys) for name, (number, keys) in content.items()}
            self._keep(self._marks.with_roles(seen))
            child.push({"go": True})
        elif kind == "ask":
            self._ask(content)
        elif kind == "progress":
            progress(*content)
        elif kind == "failed":
            error = RejectedError if content["kind"] == "RejectedError" else RetryableError
            raise error(content["message"], remedy=content["remedy"], code=content["code"])
        return kind in {"judged", "fetched"}

    def _keep(self, marks: Marks) -> None:
        try:
            self._marks = self._trust.keep(replace(marks, serial=self._marks.serial))
        except DeviceError as error:
            raise RetryableError(str(error.args[0]), remedy=error.remedy, code="disk") from error

    def _wall_ms(self) -> int:
        return self._clock.wall_ns() // _NS_PER_MS
