"""Every event that is logged as a warning or an error: its code, how grave it is, what happened, what to do.

For people, documentation and tests; the daemon does not load it. A code that has shipped keeps its name and its meaning.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Gravity = Literal["warning", "error"]
_CODE = re.compile(r"[a-z]+(-[a-z]+)*\.[a-z]+(-[a-z]+)*")


@dataclass(frozen=True, slots=True)
class Code:
    """``component.what-happened``; ``about`` says what happened, ``remedy`` what to do, empty where there is nothing."""

    name: str
    gravity: Gravity
    about: str
    remedy: str = ""

    def __post_init__(self) -> None:
        """Refuse a code that no program would like to hold on to, and one without a word."""
        if not _CODE.fullmatch(self.name) or not self.about.endswith("."):
            message = (
                f"cannot keep code {self.name!r} ({self.about!r}), expected component.what-happened and a sentence"
            )
            raise ValueError(message)


OWN_FAULT = "Report it with the log: edgectl support."
DISK = "Look at the state folder's disk."

CODES = (
    Code("action.broken", "error", "Acting on events met a fault of edged's own; pipelines run on.", OWN_FAULT),
    Code("action.failed", "warning", "An action of a rule failed for the first time in a while.", "Look at what it runs."),
    Code("beside.refused", "warning", "A message for Home Assistant is larger than the broker takes.", "Raise the broker's packet limit."),
    Code("buffer.small", "warning", "The system gives a UDP source less memory than bursts need.", "As `remedy` says."),
    Code("building.broken", "error", "Compiling for an accelerator met a fault of edged's own.", OWN_FAULT),
    Code("calibration.forgotten", "error", "What a pipeline had learned on site cannot be read; it learns again.", DISK),
    Code("calibration.refused", "warning", "What was seen while learning was not fit for it.", "See that the machine runs normally."),
    Code("calibration.unkept", "warning", "What was learned could not be written: a restart forgets it.", DISK),
    Code("camera.software-decoding", "warning", "Pictures are decoded by the processor, not by hardware as configured."),
    Code("candidate.refused", "warning", "A variant was measured and found unusable on this box.", "`edged explain MODEL` says why."),
    Code("clock.dated", "warning", "The box's clock was set; documents from before can be dated now."),
    Code("command.refused", "warning", "A command came that must not be done.", "The sender's to mend: `code` says which rule."),
    Code("command.unwritten", "warning", "A command could not be written down before it is done.", DISK),
    Code("commands.forgotten", "error", "What was done already cannot be read: an old command might be done twice.", DISK),
    Code("config.fallback", "error", "The configuration cannot be used; the last good one runs.", "Mend the file and reload."),
    Code("config.unkept", "warning", "The configuration that runs could not be kept as the last good one.", DISK),
    Code("coverage.unkept", "warning", "What was covered could not be written.", DISK),
    Code("document.rejected", "warning", "A document is no JSON or too large, and was not sent.", OWN_FAULT),
    Code("drift.found", "warning", "What a pipeline sees is no longer as its reference says.", "Look at the camera or sensor."),
    Code("drift.over", "warning", "What a pipeline sees is as its reference says again."),
    Code("drift.unkept", "warning", "Figures for drift could not be written.", DISK),
    Code("drift.unread", "error", "The reference for drift cannot be read: nothing is watched.", "Learn it again: edgectl drift learn."),
    Code("engine.lost", "warning", "An engine died, hung, or is out of reach; the next rung takes over.", "edgectl doctor hardware"),
    Code("engine.unbuilt", "warning", "A model could not be compiled for an accelerator; others serve meanwhile.", "As `message` says."),
    Code("figures.damaged", "warning", "Measured figures cannot be read, and are measured again.", DISK),
    Code("figures.stuck", "warning", "Damaged figures could not be set aside.", DISK),
    Code("figures.unkept", "warning", "Measured figures could not be written.", DISK),
    Code("figures.unusable", "warning", "The figures that a bundle brings cannot be read.", "Pack the bundle again."),
    Code("governing.broken", "error", "The governor met a fault of edged's own; pipelines run on.", OWN_FAULT),
    Code("governing.step-broken", "error", "A step of the governor met an unexpected fault.", OWN_FAULT),
    Code("governor.step-failed", "warning", "A step of the governor could not be done; it tries another."),
    Code("grpc.broken", "error", "A call met a fault of edged's own; its caller was told INTERNAL.", OWN_FAULT),
    Code("grpc.failed", "error", "gRPC does not listen.", "Free the port, or change [grpc] listen."),
    Code("health.degraded", "warning", "The box's health is degraded.", "As `reasons` say; out/health has the remedies."),
    Code("health.failed", "error", "The box's health is failed.", "As `reasons` say; out/health has the remedies."),
    Code("history.broken", "error", "The flight recorder met a fault of edged's own; pipelines run on.", OWN_FAULT),
    Code("history.unkept", "warning", "A minute of the flight recorder could not be written; it is lost.", DISK),
    Code("http.broken", "error", "A request met a fault of edged's own; its caller was told 500.", OWN_FAULT),
    Code("http.ended", "error", "The HTTP server ended by itself; it is started again.", OWN_FAULT),
    Code("http.failed", "error", "HTTP does not listen.", "Free the port, or change [http] listen."),
    Code("inbound.broken", "error", "A message from the broker met a fault of edged's own.", OWN_FAULT),
    Code("inbound.dropped", "warning", "More messages come from the broker than can be handled.", "Find who floods the box's in/ topics."),
    Code("inbound.ignored", "warning", "An order came to a box that takes none.", "Configure [updates], or stop ordering."),
    Code("line.malformed", "warning", "A line of a recording is not what its columns say."),
    Code("link.broken", "error", "The link to the broker met a fault of edged's own.", OWN_FAULT),
    Code("link.denied", "warning", "The broker forbids a topic; its documents are kept.", "edgectl fleet broker writes the rules."),
    Code("link.down", "warning", "There is no session with the broker; documents are kept.", "As `remedy` says."),
    Code("link.untold", "error", "The state of the link could not be told.", OWN_FAULT),
    Code("measuring.broken", "error", "Measuring models met a fault of edged's own.", OWN_FAULT),
    Code("model.kept", "warning", "Another model was looked for and not found: what runs stays."),
    Code("model.unstored", "warning", "A model runs straight from its folder, since the disk takes no store.", DISK),
    Code("order.forgotten", "error", "An accepted order cannot be read; the broker tells it again.", DISK),
    Code("order.refused", "warning", "An order is not signed as it should be, or not for this box.", "The fleet's: edgectl repo status."),
    Code("order.unjudged", "warning", "An order cannot be judged now; it is tried again.", "As `error` says."),
    Code("outbox.broken", "error", "The outbox met a fault of edged's own.", OWN_FAULT),
    Code("outbox.degraded", "error", "The outbox cannot use its disk; documents are kept in memory, and bounded.", "As `remedy` says."),
    Code("outbox.read-failed", "warning", "Documents could not be read back from the disk.", DISK),
    Code("outbox.set-aside", "error", "The outbox's file was damaged; a new one was begun.", "Keep the old one for support."),
    Code("outbox.unwritten", "warning", "A change could not be written to the outbox's file; it is tried again.", DISK),
    Code("part.hangs", "error", "A part did not end in time; the daemon ends without it.", OWN_FAULT),
    Code("part.lost", "warning", "One of the sources that are joined was lost; it is tried again.", "Look at that sensor."),
    Code("part.unstopped", "error", "A part could not be stopped.", OWN_FAULT),
    Code("picture.unreadable", "warning", "A picture of a folder cannot be read, and is passed over.", "Look at the file."),
    Code("port.name-moves", "warning", "A serial port is named by the order in which ports are plugged in.", "As `remedy` says."),
    Code("record-request.refused", "warning", "A request for a recording was no good, and was passed over.", "As `error` says."),
    Code("recording.broken", "error", "Recording met a fault of edged's own; pipelines run on.", OWN_FAULT),
    Code("recording.failed", "warning", "A recording could not be written, or old ones not removed.", DISK),
    Code("recording.torn", "warning", "A recording was cut off, by a power cut say; it cannot be read, and goes in its turn."),
    Code("reload.broken", "error", "A reload met a fault of edged's own; what ran runs on.", OWN_FAULT),
    Code("reload.refused", "error", "The new configuration cannot be used; what ran runs on.", "Mend the file and reload."),
    Code("report.failed", "error", "The box's state could not be told.", OWN_FAULT),
    Code("rung.failed", "warning", "A variant could not be opened; the next one is tried.", "`edged explain MODEL` says why."),
    Code("selftest.lie", "error", "A live model answers its golden sample wrong; results are suspect.", "edgectl doctor hardware"),
    Code("selftest.unread", "warning", "A golden sample cannot be read: that test says nothing."),
    Code("serving.broken", "error", "A run for requests met a fault of edged's own.", OWN_FAULT),
    Code("serving.lost", "error", "The engine for requests was lost; it is opened again.", "edgectl doctor hardware"),
    Code("serving.no-more", "warning", "Another instance for requests could not be opened."),
    Code("serving.not-loaded", "warning", "A model could not be loaded for requests.", "As `error` says."),
    Code("serving.unbatched", "warning", "A model took no other number of items than one; its requests share no run."),
    Code("session.broken", "error", "A packet of the broker met a fault of edged's own.", OWN_FAULT),
    Code("snapshot.failed", "warning", "A picture of an event could not be written.", DISK),
    Code("source.broken", "error", "Reading a source met a fault of edged's own; it is opened again after a pause.", OWN_FAULT),
    Code("source.lost", "warning", "A source gives nothing any more; it is opened again after a pause.", "Look at the camera or sensor."),
    Code("tracing.crowded", "warning", "More spans come than the collector takes; the oldest that wait are lost.", "As `remedy` says."),
    Code("tracing.unsent", "warning", "The OpenTelemetry collector takes no spans; they are lost.", "As `remedy` says."),
    Code("update.delta-failed", "warning", "A difference could not be applied; the whole file is fetched.", ""),
    Code("update.hindered", "warning", "An update waits for something on the box.", "As `error` says."),
    Code("updating.broken", "error", "The update flow met a fault of edged's own; what runs stays.", OWN_FAULT),
    Code("worker.broken", "error", "A pipeline met a fault of edged's own; it is started again.", OWN_FAULT),
    Code("worker.failed", "error", "A pipeline failed; it is started again after a pause.", "As `error` says."),
    Code("worker.last-word", "error", "A pipeline could not tell that it ended.", OWN_FAULT),
)  # fmt: skip
