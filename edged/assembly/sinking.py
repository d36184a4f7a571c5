"""The sinks of installed packages, each a part of the daemon with a thread and a queue of its own.

One that is slow or fails costs the box nothing but a reason in its health.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial

from edged.assembly.ears import Ears
from edged.assembly.office import link_settings
from edged.assembly.side_part import SidePart
from edged.config.plugins import load_plugin
from edged.config.schema import Config, Sink
from edged.daemon import Wanted
from edged.domain.errors import EdgedError
from edged.domain.health import Reason
from edged.domain.message import Body, Draft
from edged.domain.ports import Clock, DocumentSink
from edged.sinks.box import SinkBox

FAILING = "sink-failing"
WAITING = 1024
"""Documents that may wait for a sink; what comes on top is left out."""
AGAIN_S = 30.0
"""When a sink that cannot be opened is tried again: its package may come, or what it needs."""

Opens = Callable[[], DocumentSink]


class Sinks:
    """Gives the parts of a configuration; those whose settings and pipelines stay the same keep running."""

    def __init__(self, ears: Ears, sinks: Sequence[Sink], clock: Clock) -> None:
        """``sinks`` are those that edged was started with."""
        self._ears, self._sinks, self._clock = ears, sinks, clock

    def parts(self, config: Config) -> tuple[Wanted, ...]:
        """Give what shall run; nothing where no pipeline has anything to tell."""
        pipelines = {one.name: tuple(rule.name for rule in one.rule) for one in config.pipeline}
        if not pipelines:
            return ()
        return tuple(
            Wanted(f"sink-{one.name}", (one, tuple(pipelines.items())), partial(self._build, one, config, pipelines))
            for one in self._sinks
        )

    def _build(self, settings: Sink, config: Config, pipelines: Mapping[str, tuple[str, ...]]) -> SinkPart:
        folder = config.state.directory / "sinks" / settings.name
        box = SinkBox(config.device.id, pipelines, link_settings(config), folder)
        opens = partial(_opened, settings, self._clock, box)
        return SinkPart(settings.name, opens, self._ears, self._clock)


class SinkPart(SidePart):
    """One sink; what waits for it is delivered while the parts stop."""

    def __init__(self, name: str, opens: Opens, ears: Ears, clock: Clock, *, again_s: float = AGAIN_S) -> None:
        """``opens`` is called on the part's own thread, and again ``again_s`` after it failed."""
        super().__init__(f"edged-sink-{name}")
        self._name, self._opens, self._ears, self._clock = name, opens, ears, clock
        self._again_s = again_s
        self._sink: DocumentSink | None = None
        self._inbox: queue.Queue[Draft | None] = queue.Queue(WAITING)
        self._ending = threading.Event()
        self._why, self._since_ns = "", clock.monotonic_ns()
        self.left_out = 0

    def __repr__(self) -> str:
        return f"<SinkPart {self._name}: {self._sink!r}, {self._inbox.qsize()} waiting, {self.left_out} left out>"

    def start(self) -> None:
        """Begin to listen; the package is imported on the thread."""
        self._ears.listen(self.hear)
        super().start()

    def hear(self, draft: Draft) -> None:
        """Keep a document for the thread; left out when too many wait."""
        try:
            self._inbox.put_nowait(draft)
        except queue.Full:
            self.left_out += 1

    def stop(self) -> None:
        """Open nothing any more; what pipelines say while they stop is still heard."""
        super().stop()

    def join(self, timeout_s: float) -> bool:
        """Deliver what waits, and end."""
        self._stop.set()
        self._ears.forget(self.hear)
        self._ending.set()
        with suppress(queue.Full):  # one that has so much to do sees it without being woken
            self._inbox.put_nowait(None)
        return super().join(timeout_s)

    def reasons(self) -> Sequence[Reason]:
        """Say that it delivers nothing, and why."""
        why = self._why or self._trouble() or ("takes documents too slowly" if self._inbox.full() else "")
        if not why:
            self._since_ns = self._clock.monotonic_ns()
            return ()
        lost = f"; {self.left_out} documents were left out" if self.left_out else ""
        return (
            Reason(FAILING, self._name, why + lost, self._since_ns, "see its options, and its package's own words"),
        )

    def _trouble(self) -> str:
        try:
            return self._sink.trouble() if self._sink is not None else ""
        except Exception as error:  # noqa: BLE001 - a package's own code runs here, and may raise whatever it likes
            return _words(error)

    def _run(self) -> None:
        while self._sink is None:
            try:
                self._sink, self._why = self._opens(), ""
            except Exception as error:  # noqa: BLE001 - as above
                self._why = f"cannot be opened: {_words(error)}"
                if self._stop.wait(self._again_s):
                    return
        while not (self._ending.is_set() and self._inbox.empty()):
            draft = self._inbox.get()
            body = _body(draft) if draft is not None else None
            if draft is not None and body is not None:
                self._call(partial(self._sink.take, draft.stream, body))
        self._call(self._sink.close)

    def _call(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as error:  # noqa: BLE001 - as above
            self._why = f"met a fault: {_words(error)}"
        else:
            self._why = ""


def _opened(settings: Sink, clock: Clock, box: SinkBox) -> DocumentSink:
    opens = load_plugin("edged.sinks", settings.kind)
    sink: DocumentSink = opens(options=settings.options, clock=clock, box=box)
    return sink


def _body(draft: Draft) -> Body | None:
    """Give what a document says; None where that cannot be built, which the outbox tells, and the sink is not to blame for."""
    try:
        return draft.body
    except Exception:  # noqa: BLE001 - a plugin's decoder may have put anything into what is told of here
        return None


def _words(error: Exception) -> str:
    text = str(error) if isinstance(error, EdgedError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split())
