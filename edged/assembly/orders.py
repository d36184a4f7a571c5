"""Commands from the fleet, acted upon: on the link's inbox thread, which holds up nobody but the next command."""

from __future__ import annotations

import logging
import re
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edged.control.command import VERBS, Command, Refused, judge, read_command
from edged.control.handled import Handled
from edged.domain.errors import DeviceError
from edged.domain.ports import Clock, Outbox
from edged.fleet.bucket import Bucket
from edged.fleet.reply import reply_draft, reply_stream
from edged.fleet.session import Inbound
from edged.fleet.topics import COMMAND, REPLY, Stamper
from edged.pipeline.line import Line, Pipeline
from edged.telemetry import logs
from edged.update.disk import LocalDisk
from edged.update.records import replace_file

HANDLED = "commands.json"
REFUSALS_PER_S, REFUSALS_AT_ONCE = 2.0, 20.0
"""A sender that writes nonsense all day must not fill the outbox with answers to it; what is done is always answered."""
IN_A_ROW = 2.0
"""What has to rest may be done again at once: the first one was perhaps asked for too early."""
PATIENCE_S = 10.0
"""Surveying the box and planning what runs takes a second or two on the slowest board."""
MAX_STREAMS = 32
"""Response topics that are honoured between two starts: each has a sequence of its own that is kept for ever."""
NS_PER_MS = 1_000_000
RECORD_S, MAX_RECORD_S = 10, 300
SECONDS = re.compile(r"\d{1,3}(\.\d{1,3})?")

_LOG = logging.getLogger("edged.orders")


@dataclass(frozen=True, slots=True)
class Controls:
    """What commands move. Every call returns at once, but ``support``: it takes seconds, in which other commands wait."""

    reload: Callable[[], None]
    restart: Callable[[], None]
    lines: Callable[[], Sequence[Line]]
    support: Callable[[], Mapping[str, Any]] = dict
    """Writes an archive, and tells of it. Raises DeviceError."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a command."""

    ok: bool
    code: str = ""
    message: str = ""
    result: Mapping[str, Any] = field(default_factory=dict)


class Orders:
    """Takes what comes in. ``steer`` names what commands move, ``begin`` says that it stands.

    Until then commands wait for ``patience_s``, since those that the broker kept come before the first pipeline runs.
    """

    def __init__(self, outbox: Outbox, stamper: Stamper, state: Path, patience_s: float = PATIENCE_S) -> None:
        self._outbox = outbox
        self._stamper = stamper
        self._clock: Clock = stamper.clock
        self._file = state / HANDLED
        self._handled = _remembered(self._file)
        self._controls: Controls | None = None
        self._begun = threading.Event()
        self._patience_s = patience_s
        self._refusals = Bucket(REFUSALS_AT_ONCE, self._clock.monotonic_ns())
        self._rests: dict[str, Bucket] = {}
        self._streams: set[str] = {REPLY}
        self._ignored: set[str] = set()
        self.counts: Counter[str] = Counter()
        """Commands by what became of them: ``done`` or the refusal's code, and ``unanswered``."""
        self.lasting: Callable[[Inbound], bool] = lambda _inbound: False
        """Takes orders that last, and blocks of files; False when it has no use for a message."""

    def steer(self, controls: Controls) -> None:
        """Name what commands move."""
        self._controls = controls

    def begin(self) -> None:
        """Begin to act. May be called at every turn."""
        if not self._begun.is_set():
            self._begun.set()

    def take(self, inbound: Inbound) -> None:
        """Take a message from the fleet; called on the link's inbox thread."""
        if not inbound.topic.endswith(f"/in/{COMMAND}"):
            if not self.lasting(inbound):
                self._ignore(inbound)
            return
        command = self._permitted(inbound)
        if isinstance(command, Refused):
            self._refuse(command, inbound)
            return
        answer = self._act(command)
        self.counts["done" if answer.ok else answer.code] += 1
        logs.event(_LOG, "command.done", id=command.id, verb=command.verb, ok=answer.ok, answer=answer.message)
        self._reply(inbound, command.id, command.verb, answer)

    def _permitted(self, inbound: Inbound) -> Command | Refused:
        command = read_command(inbound.payload)
        if isinstance(command, Refused):
            return command
        wall_ms = self._clock.wall_ns() // NS_PER_MS
        refused = judge(command, self._handled, wall_ms, retained=inbound.retained)
        return refused or self._too_soon(command) or self._written_down(command, wall_ms) or command

    def _too_soon(self, command: Command) -> Refused | None:
        """Refuse what has to rest."""
        rest_s, now_ns = VERBS[command.verb].rest_s, self._clock.monotonic_ns()
        if not rest_s:
            return None
        bucket = self._rests.setdefault(command.verb, Bucket(IN_A_ROW, now_ns))
        if bucket.take(1.0, now_ns, 1.0 / rest_s, IN_A_ROW, above=0.999):
            return None
        message = (
            f"cannot {command.verb} again so soon, expected it once in {rest_s:g} s; what was made lies on the box"
        )
        return Refused("too-soon", message, command.id, command.verb)

    def _written_down(self, command: Command, wall_ms: int) -> Refused | None:
        """Remember the command before it is done: a kill in between must not make it happen twice."""
        handled = self._handled.with_one(command.id, command.expires_ms, wall_ms, synced=self._clock.synced())
        try:
            replace_file(LocalDisk(), self._file, handled.to_json())
        except DeviceError as error:
            logs.event(_LOG, "command.unwritten", level=logging.WARNING, error=error)
            if VERBS[command.verb].has_effect:
                message = f"cannot {command.verb}, since it could happen twice: {error.args[0]}"
                return Refused("not-remembered", message, command.id, command.verb)
        self._handled = handled
        return None

    # -- acting

    def _act(self, command: Command) -> Answer:
        if not self._begun.wait(self._patience_s) or self._controls is None:
            return Answer(ok=False, code="not-ready", message=f"cannot {command.verb}: edged is still starting")
        return _ACTIONS[command.verb](self._controls, command)

    # -- answering

    def _refuse(self, refused: Refused, inbound: Inbound) -> None:
        self.counts[refused.code] += 1
        if not self._refusals.take(1.0, self._clock.monotonic_ns(), REFUSALS_PER_S, REFUSALS_AT_ONCE):
            self.counts["unanswered"] += 1
            return
        logs.event(_LOG, "command.refused", level=logging.WARNING, code=refused.code, reason=refused.message)
        self._reply(inbound, refused.id, refused.verb, Answer(ok=False, code=refused.code, message=refused.message))

    def _reply(self, inbound: Inbound, id_: str, verb: str, answer: Answer) -> None:
        stream = reply_stream(inbound.response_stream)
        if stream not in self._streams and len(self._streams) > MAX_STREAMS:
            stream = REPLY
        self._streams.add(stream)
        body = {**self._stamper.now(), "id": id_, "verb": verb, "ok": answer.ok, "code": answer.code}
        body |= {"message": answer.message, "result": dict(answer.result)}
        self._outbox.put(reply_draft(stream, body, inbound.correlation, inbound.traceparent))

    def _ignore(self, inbound: Inbound) -> None:
        """Without a repository nothing that lasts is taken; what comes is told once a topic."""
        self.counts["ignored"] += 1
        if inbound.topic not in self._ignored:
            self._ignored.add(inbound.topic)
            logs.event(_LOG, "inbound.ignored", level=logging.WARNING, topic=inbound.topic, bytes=len(inbound.payload))


def _remembered(file: Path) -> Handled:
    try:
        return Handled.from_json(file.read_bytes())
    except FileNotFoundError:
        return Handled()
    except (OSError, ValueError) as error:
        logs.event(_LOG, "commands.forgotten", level=logging.ERROR, file=file, error=error)
        return Handled()


def _ping(_controls: Controls, _command: Command) -> Answer:
    return Answer(ok=True, message="here")


def _reload(controls: Controls, _command: Command) -> Answer:
    controls.reload()
    return Answer(ok=True, message="reads its configuration and models again; out/health says how that went")


def _restart(controls: Controls, _command: Command) -> Answer:
    controls.restart()
    return Answer(ok=True, message="stops and starts again; out/status tells both")


def _pause(controls: Controls, command: Command) -> Answer:
    return _each(controls, command, lambda pipeline: pipeline.pause(), "paused")


def _resume(controls: Controls, command: Command) -> Answer:
    return _each(controls, command, lambda pipeline: pipeline.resume(), "resumed")


def _snapshot(controls: Controls, command: Command) -> Answer:
    named = command.args.get("pipeline")
    able = {
        pipeline.name: pipeline.snapshot
        for line in controls.lines()
        for pipeline in line.pipelines
        if pipeline.snapshot is not None and pipeline.worker.state != "paused"
    }
    chosen = [name for name in able if named in {None, name}]
    if not chosen:
        known = ", ".join(able) or "none"
        message = f"cannot snapshot: no such pipeline gives pictures now, expected one of {known}"
        return Answer(ok=False, code="unknown-pipeline", message=message)
    for name in chosen:
        able[name]()
    message = (
        "takes the next frame; its picture comes on out/event/ of its pipeline as edged.snapshot/1, without a rule"
    )
    return Answer(ok=True, message=message, result={"pipelines": chosen})


def _record(controls: Controls, command: Command) -> Answer:
    named, told = command.args.get("pipeline"), command.args.get("seconds", str(RECORD_S))
    seconds = float(told) if SECONDS.fullmatch(told) else 0.0
    if not 0 < seconds <= MAX_RECORD_S:
        message = f"cannot record {ascii(told)[:66]} seconds, expected more than 0 and at most {MAX_RECORD_S}"
        return Answer(ok=False, code="malformed", message=message)
    running = [pipeline for line in controls.lines() for pipeline in line.pipelines]
    able = {one.name: one.record for one in running if one.record is not None}
    chosen = [name for name in able if named in {None, name}]
    if not chosen:
        known = ", ".join(able) or "none, since the configuration has no [record]"
        message = f"cannot record: no such pipeline is recorded, expected one of {known}"
        return Answer(ok=False, code="unknown-pipeline", message=message)
    for name in chosen:
        able[name](seconds)
    message = "records from now on; edgectl record list shows it on the box"
    return Answer(ok=True, message=message, result={"pipelines": chosen, "seconds": seconds})


def _recalibrate(controls: Controls, command: Command) -> Answer:
    """One pipeline, named: forgetting what is normal on every machine of a box is nobody's slip of the pen."""
    named = command.args.get("pipeline")
    pipelines = [pipeline for line in controls.lines() for pipeline in line.pipelines]
    able = {one.name: one.learning for one in pipelines if one.learning is not None and one.learning.is_wanted}
    learning = able.get(named or "")
    if learning is None:
        asked = "all pipelines" if named is None else ascii(named)[:66]
        message = f"cannot recalibrate {asked}: expected one that learns what is normal: {', '.join(able) or 'none'}"
        return Answer(ok=False, code="unknown-pipeline", message=message)
    try:
        learning.recalibrate()
    except DeviceError as error:
        return Answer(ok=False, code="disk", message=f"cannot recalibrate {named}: {error.args[0]}")
    message = "learns anew from now on; out/models tells when it is done"
    return Answer(ok=True, message=message, result={"pipelines": [named]})


def _support(controls: Controls, _command: Command) -> Answer:
    try:
        written = controls.support()
    except DeviceError as error:
        return Answer(ok=False, code="disk", message=str(error.args[0]))
    return Answer(ok=True, message="wrote an archive without secrets; fetch it from the box", result=written)


def _each(controls: Controls, command: Command, act: Callable[[Pipeline], None], done: str) -> Answer:
    """Act on the pipeline that the command names, or on every one."""
    named = command.args.get("pipeline")
    running = [pipeline for line in controls.lines() for pipeline in line.pipelines]
    chosen = [pipeline for pipeline in running if named in {None, pipeline.name}]
    if not chosen:
        known = ", ".join(pipeline.name for pipeline in running) or "none"
        asked = "all pipelines" if named is None else ascii(named)[:66]
        message = f"cannot {command.verb} {asked}: it does not run, expected one of {known}"
        return Answer(ok=False, code="unknown-pipeline", message=message)
    for pipeline in chosen:
        act(pipeline)
    return Answer(ok=True, message=done, result={"pipelines": [pipeline.name for pipeline in chosen]})


_ACTIONS: Mapping[str, Callable[[Controls, Command], Answer]] = {
    "ping": _ping,
    "reload": _reload,
    "pause": _pause,
    "resume": _resume,
    "snapshot": _snapshot,
    "record": _record,
    "recalibrate": _recalibrate,
    "restart": _restart,
    "support": _support,
}
