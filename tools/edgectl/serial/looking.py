"""A look at a serial line from opening to the entry: find its setting, find its format, read it as the daemon would."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgectl.bundle import terminal
from edgectl.entry import as_json, entry, name_of
from edgectl.serial.binary import Frames
from edgectl.serial.heard import Setting
from edgectl.serial.judge import Choice, Finding
from edgectl.serial.line import Line
from edgectl.serial.look import Read, read
from edgectl.serial.ports import Port, port_of
from edgectl.serial.search import BAUDS, search
from edgectl.serial.suggest import source_of, with_rate
from edged.assembly.lines import opener
from edged.config.schema import SerialSource
from edged.domain.errors import DeviceError
from edged.hardware.clock import SystemClock

SILENT = "look at its power, at its ground, and whether its TX goes to this RX; some sensors want to be asked first"
SELDOM = "it may speak seldom: listen for longer with --seconds; when nothing comes even so, look at its plug and power"
NOISE = "its manual names its baud; try it with --baud, and look at its ground and levels (RS-232 needs a converter)"
UNREADABLE = (
    "have it send numbers with commas, one sample a line; docs/reference/configuration.md tells what edged reads"
)


@dataclass(frozen=True, slots=True)
class Told:
    """All that a look gave; ``suggested`` and ``read`` are None when there is no format that edged reads."""

    port: Port
    tried: tuple[Finding, ...]
    choice: Choice
    suggested: SerialSource | None
    read: Read | None

    @property
    def best(self) -> Finding:
        """What made the most sense."""
        return self.choice.best

    @property
    def names(self) -> Sequence[str]:
        """The channels."""
        return self.suggested.columns if self.suggested is not None else ()

    @property
    def fault(self) -> DeviceError | None:
        """What is wrong, with the next step; None when samples were read."""
        node = self.port.node
        if self.best.kind == "silence":
            message = f"cannot hear {node}: no byte in {self.best.heard.waited_s:.0f} s, expected a sensor that speaks"
            return DeviceError(message, remedy=SILENT, code="serial-silent")
        if self.suggested is None:
            is_text = self.best.kind == "text"
            seen = (
                f"text without samples at {self.best.heard.setting}"
                if is_text
                else "noise at every baud that was tried"
            )
            message = f"cannot read {node}: {seen}, expected lines of numbers, JSON lines or records with a checksum"
            return DeviceError(message, remedy=UNREADABLE if is_text else NOISE, code="serial-unread")
        if self.read is None or not self.read.timing.count:
            words = (self.read and self.read.lost) or "no sample came"
            return DeviceError(f"cannot read {node} with the suggested entry: {words}, expected samples", remedy=SELDOM)
        return DeviceError(self.read.lost, code="serial-lost") if self.read.lost else None

    @property
    def entry(self) -> str:
        """The configuration's entry; empty where none is suggested."""
        return "" if self.suggested is None else entry(self.suggested)

    def words(self) -> str:
        """Say what was found, on one line."""
        heard = self.best.heard
        line = f"{self.port.name} at {heard.setting}"
        if not self.port.has_baud:
            line += " (its baud counts for nothing: any does)"
        elif not self.choice.is_clear and self.suggested is not None:
            line += " (others make nearly as much sense: listen again)"
        form = self.best.form
        if form is None:
            return f"{line}: nothing that edged reads"
        if isinstance(form, Frames):
            framed = f"records behind {form.sync.hex()}" if form.framing == "records" else "COBS"
            return (
                f"{line}: {framed}, {form.crc}, fields guessed ({', '.join(form.types)}): hold them against its manual"
            )
        uses = ", ".join(part.name if part.use == "channel" else f"{part.name} ({part.use})" for part in form.parts)
        return f"{line}: {form.format} of {uses}"

    def document(self) -> dict[str, Any]:
        """Give it as JSON has it."""
        setting, read_, none = self.best.heard.setting, self.read, {"source": None, "entry": None}
        return {
            "schema": "edged.serial.look/1",
            "port": self.port.told(),
            "setting": {"baud": setting.baud, "data_bits": setting.data_bits, "parity": setting.parity, "stop_bits": 1},
            "is_clear": self.choice.is_clear or not self.port.has_baud,
            "kind": self.best.kind,
            "tried": [_tried(one) for one in self.tried],
            "samples": None if read_ is None else read_.timing.told(),
            "dropped": {} if read_ is None else read_.drops,
            "channels": [] if read_ is None else read_.channels(self.names),
            "fault": None if self.fault is None else str(self.fault),
            **(none if self.suggested is None else as_json(self.suggested)),
        }


def looked(port: Path, seconds: float, baud: int | None, patience_s: float, name: str, *, quiet: bool) -> Told:
    """Listen to a port until its setting and format are known, and read it.

    Raises:
        DeviceError: the port cannot be opened, or is held by somebody else, whose stream is left alone.
        ConfigError: the configuration would not take what was found.
    """
    found_port = port_of(port)
    bauds = (baud,) if baud is not None else BAUDS if found_port.has_baud else BAUDS[:1]
    with terminal.progress(quiet=quiet) as tell:
        with closing(Line(found_port, Setting(bauds[0]))) as line:
            found = search(line, bauds, patience_s, tell)
        best = found.choice.best
        if best.form is None:
            return Told(found_port, found.tried, found.choice, None, None)
        source = source_of(found_port.name, best, name or name_of(found_port.product or port.name, "sensor"))
        tell(f"reads for {seconds:g} s")
        clock = SystemClock()
        came = read(opener(source, clock)(), clock, seconds)
    return Told(found_port, found.tried, found.choice, with_rate(source, came.timing), came)


def _tried(one: Finding) -> dict[str, Any]:
    setting, heard = one.heard.setting, one.heard
    return {
        "baud": setting.baud,
        "data_bits": setting.data_bits,
        "parity": setting.parity,
        "bytes": len(heard.data),
        "faulty": heard.faults,
        "kind": one.kind,
        "score": round(one.score, 3),
    }
