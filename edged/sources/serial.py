"""Sensors on a serial line, through pyserial: lines of numbers, JSON lines, COBS frames, records with length and CRC."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import termios
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import serial

from edged.domain.errors import ConfigError, DeviceError, SourceLostError
from edged.domain.frame import Samples, Stamp
from edged.domain.ports import Clock
from edged.sources.closing import Closing
from edged.sources.quality import LineQuality, Verdict
from edged.sources.wire import Reading, Wire
from edged.telemetry import logs

NS_PER_S = 1_000_000_000

GATHER_S = 0.01
"""After the first byte, so long is waited for more: a tenth of the wake-ups, for a delay that no model notices."""

KERNEL_BYTES = 4096
"""What the kernel holds for a terminal (N_TTY_BUF_SIZE, drivers/tty/n_tty.c): never wait until it is full."""

READ_TIMEOUT_S = 0.2
"""How soon a closed source is noticed where a read cannot be woken."""

SILENT_S = 5.0
SILENT_STEPS = 20
"""A sensor whose rate is known and that said nothing for so long, and so many of its steps, counts as lost."""

GARBAGE_BYTES = 65_536
"""Garbage in a row that is borne without a single good frame: 6 s at 115,200 baud."""

BY_ID = Path("/dev/serial/by-id")

_LOG = logging.getLogger("edged.sources.serial")


def open_source(
    *,
    port: Path | str,
    clock: Clock,
    wire: Wire,
    baud: int = 115_200,
    data_bits: int = 8,
    parity: Literal["none", "even", "odd"] = "none",
    stop_bits: int = 1,
    rate_hz: float | None = None,
    garbage_bytes: int = GARBAGE_BYTES,
    by_id: Path = BY_ID,
) -> SerialSource:
    """Open a serial port for this process alone, and forget what waits in it: nobody knows how old it is.

    Args:
        port: the device; a name in /dev/serial/by-id stays with the sensor when it is plugged elsewhere.
        clock: dates the samples.
        wire: what the sensor says.
        baud: bits a second.
        data_bits: 7 or 8.
        parity: what the ninth bit says.
        stop_bits: 1 or 2.
        rate_hz: samples a second, for the dating of samples without a time, and to notice silence.
        garbage_bytes: so many bytes in a row without a good frame are borne.
        by_id: where udev keeps the names that stay.

    Raises:
        ConfigError: a layout that cannot be, or a rate that the port cannot do.
        DeviceError: no such device, no permission, in use, or no serial port.
    """
    quality = LineQuality(is_text=wire.format != "binary", budget_bytes=garbage_bytes)
    reading = Reading(wire, quality, rate_hz)
    place = _Place(Path(port), baud, by_id)
    device = _open(place, data_bits, parity, stop_bits)
    place.warn_of_a_name_that_moves()
    silent_s = max(SILENT_S, SILENT_STEPS / rate_hz) if rate_hz else None
    return SerialSource(device, clock, place, reading, silent_s=silent_s)


class SerialSource:
    """Blocks of the samples that came together, within a hundredth of a second of the first."""

    def __init__(
        self, device: serial.Serial, clock: Clock, place: _Place, reading: Reading, *, silent_s: float | None
    ) -> None:
        self._device = device
        self._clock = clock
        self._place = place
        self._reading = reading
        self._silent_s = silent_s
        self._closing = Closing(partial(_shut, device))
        self._gather_s = min(GATHER_S, KERNEL_BYTES / 2 * 10 / place.baud)
        self._heard_s = clock.monotonic_ns() / NS_PER_S

    @property
    def drops(self) -> Counter[str]:
        """What was left out, by cause."""
        return self._reading.drops

    def read(self) -> Samples | None:
        """Wait for the next samples; None after ``close``.

        Raises:
            SourceLostError: unplugged (``serial-lost``), silent (``serial-silent``), or what comes makes no sense
                (``wrong-baud``, ``wrong-format``, ``serial-garbage``).
        """
        with self._closing:
            while not self._closing.is_asked:
                if (samples := self._samples(self._bytes())) is not None:
                    return samples
            return None

    def close(self) -> None:
        """Give the port back: at once, or as soon as a read in another thread comes out of pyserial."""
        if not self._closing.ask():
            with suppress(OSError, TypeError, AttributeError):  # the port was closed by its reader just now
                self._device.cancel_read()

    def __repr__(self) -> str:
        """Say which port it is and how well it is heard."""
        reading, state = self._reading, repr(self._closing)
        return f"<SerialSource {self._place}: {state}, {reading.samples} samples, {reading.quality!r}, drops {dict(reading.drops)}>"

    def _bytes(self) -> bytes:
        """Give what came; empty after ``READ_TIMEOUT_S`` of silence."""
        try:
            first: bytes = self._device.read(1)
            if first:
                self._closing.wait(self._gather_s)
                first += self._device.read(self._device.in_waiting)
        except (OSError, termios.error) as error:  # pyserial's own error is an OSError
            if self._closing.is_asked:
                return b""
            message = f"cannot read {self._place} on: {why(error)}, expected bytes"
            raise SourceLostError(message, remedy=self._place.remedy, code="serial-lost") from error
        return first

    def _samples(self, data: bytes) -> Samples | None:
        now_ns = self._clock.monotonic_ns()
        now_s = now_ns / NS_PER_S
        if not data:
            self._judge_silence(now_s)
            return None
        self._heard_s = now_s
        dated = self._reading.feed(data, now_s)
        self._judge_quality(now_s)
        if dated is None:
            return None
        times_s, values = dated
        stamp = Stamp(self._reading.samples - 1, now_ns, self._clock.wall_ns(), float(times_s[-1]))
        return Samples(values.astype("float32"), times_s, stamp)

    def _judge_silence(self, now_s: float) -> None:
        if self._silent_s is not None and now_s - self._heard_s > self._silent_s and not self._closing.is_asked:
            message = f"cannot read {self._place}: no byte for {self._silent_s:g} s, expected {self._reading.wire}"
            raise SourceLostError(message, remedy="look at the sensor's power and its cable", code="serial-silent")

    def _judge_quality(self, now_s: float) -> None:
        verdict = self._reading.quality.verdict(now_s)
        if verdict == "fine":
            return
        code, remedy = _FAULTS[verdict]
        share = self._reading.quality.error_share
        shown = f", such as {self._reading.example_of_garbage!r}" if self._reading.example_of_garbage else ""
        message = (
            f"cannot understand {self._place}: {share:.0%} of its bytes are no frame{shown}, "
            f"expected {self._reading.wire}"
        )
        raise SourceLostError(message, remedy=remedy, code=code)


_FAULTS: dict[Verdict, tuple[str, str]] = {
    "wrong-baud": (
        "wrong-baud",
        "the likely cause is another baud, parity or number of bits than the sensor's: its manual names them",
    ),
    "wrong-format": (
        "wrong-format",
        "the text arrives well: set format, fields and delimiter to what the sensor sends",
    ),
    "garbage": ("serial-garbage", "look at baud and format first, then at the cable's shield and ground"),
}


def number_of(error: Exception) -> int | None:
    """Give the error's number. termios.error is no OSError, and pyserial wraps one into another without its number."""
    for known in (error, error.__context__):
        if isinstance(known, OSError | termios.error) and known.args and isinstance(known.args[0], int):
            return known.args[0]
    return None


def why(error: Exception) -> str:
    """Say what went wrong in the system's own words."""
    number = number_of(error)
    return os.strerror(number).lower() if number is not None else " ".join(str(error).split())


@dataclass(frozen=True, slots=True)
class _Place:
    """A port, its rate, and where the names that stay are."""

    path: Path
    baud: int
    by_id: Path

    def __str__(self) -> str:
        return f"serial port {self.path} at {self.baud} baud"

    @property
    def remedy(self) -> str:
        """The next step when it is gone."""
        names = self._names()
        if self.path.parent == self.by_id or not names:
            return "look at its plug and power; edged opens it again"
        return f"plug it in again, or name one that is there and stays: {', '.join(map(str, names))}"

    def warn_of_a_name_that_moves(self) -> None:
        """Log the lasting name of a port that was named by the order in which ports are plugged in."""
        if not self.path.name.startswith(("ttyUSB", "ttyACM")):
            return
        lasting = [name for name in self._names() if name.resolve() == self.path.resolve()]
        remedy = f"name it {lasting[0]}" if lasting else f"name it by {self.by_id}"
        logs.event(_LOG, "port.name-moves", level=logging.WARNING, port=str(self.path), remedy=remedy)

    def _names(self) -> list[Path]:
        try:
            return sorted(self.by_id.iterdir())
        except OSError:  # no such folder: no adapter, or no udev
            return []


def _open(place: _Place, data_bits: int, parity: str, stop_bits: int) -> serial.Serial:
    try:
        device = serial.Serial(
            os.fspath(place.path),
            place.baud,
            bytesize=data_bits,
            parity=_PARITIES[parity],
            stopbits=stop_bits,
            timeout=READ_TIMEOUT_S,
            exclusive=True,
        )
        fcntl.ioctl(device.fileno(), termios.TIOCEXCL)  # the lock that pyserial takes is advisory
        device.reset_input_buffer()
    except (OSError, termios.error) as error:
        raise _refused(place, error) from error
    except ValueError as error:
        message = f"cannot open {place}: {error}, expected settings that the port can do"
        raise ConfigError(message) from error
    return device


def _refused(place: _Place, error: Exception) -> DeviceError:
    code, wanted, remedy = _REFUSALS.get(number_of(error), ("serial-failed", "a serial port", place.remedy))
    message = f"cannot open {place}: {why(error)}, expected {wanted}"
    return DeviceError(message, remedy=remedy or place.remedy, code=code)


_REFUSALS: dict[int | None, tuple[str, str, str]] = {
    errno.ENOENT: ("serial-missing", "a device of this name", ""),
    errno.ENXIO: ("serial-missing", "a device of this name", ""),
    errno.ENODEV: ("serial-missing", "a device of this name", ""),
    errno.EACCES: ("serial-permission", "permission", "put edged's user into the device's group (dialout)"),
    errno.EPERM: ("serial-permission", "permission", "put edged's user into the device's group (dialout)"),
    errno.EAGAIN: ("serial-busy", "a port that nobody uses", "end the program that holds it; fuser names it"),
    errno.EBUSY: ("serial-busy", "a port that nobody uses", "end the program that holds it; fuser names it"),
    errno.ENOTTY: ("serial-failed", "a serial port", "name a device such as /dev/serial/by-id/…"),
}


def _shut(device: serial.Serial) -> None:
    """Close a port, which may be gone. May be called twice."""
    if device.is_open:
        with suppress(OSError, termios.error):
            fcntl.ioctl(device.fileno(), termios.TIOCNXCL)
        with suppress(OSError, termios.error):
            device.close()


_PARITIES = {"none": serial.PARITY_NONE, "even": serial.PARITY_EVEN, "odd": serial.PARITY_ODD}
