"""A microphone without PortAudio: the library is handed in."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from edged.domain.errors import DeviceError, SourceLostError
from edged.sources import microphone
from edged.sources.microphone import MOST_WAITING, open_source
from fakes.clock import FakeClock
from fakes.waiting import until


class Audio:
    """What edged uses of sounddevice. ``blocks`` are what comes: sound and whether some was lost, or an error."""

    class PortAudioError(Exception):
        pass

    def __init__(self, *blocks: Any, opens: Exception | None = None, devices: Any = ()) -> None:
        self.blocks = list(blocks)
        self.opens = opens
        self.devices = devices
        self.asked: dict[str, Any] = {}
        self.closes = self.looks = 0
        self.found_after = 1 << 20
        self.starts: Exception | None = None
        self.channels = 0

    def RawInputStream(self, **asked: Any) -> Audio:  # noqa: N802 - the library's name
        if self.opens and self.looks < self.found_after:
            raise self.opens
        self.asked, self.channels = asked, asked["channels"]
        return self

    def query_devices(self) -> Any:
        if isinstance(self.devices, Exception):
            raise self.devices
        return self.devices

    def start(self) -> None:
        if self.starts:
            raise self.starts
        for block in self.blocks:
            if isinstance(block, Exception):
                self.asked["finished_callback"]()
            else:
                frames = self.asked["blocksize"]
                sound = np.full((frames, self.channels), 16_384, "<i2").tobytes()
                self.asked["callback"](sound, frames, None, block)

    def _terminate(self) -> None:
        pass

    def _initialize(self) -> None:
        self.looks += 1

    def close(self) -> None:
        self.closes += 1


@pytest.fixture(autouse=True)
def nothing_stays_open() -> Iterator[None]:
    """No test has to close what it opened: PortAudio is none."""
    yield
    microphone._open.clear()


def test_a_block_is_a_fiftieth_of_a_second_of_the_channels_that_are_taken() -> None:
    audio = Audio(False)

    samples = open_source(clock=FakeClock(), channels=[1], library=audio).read()

    assert samples is not None
    assert samples.values.shape == (320, 1)
    assert samples.values.max() == 0.5
    assert samples.times_s[-1] == 1000.0
    assert (audio.asked["samplerate"], audio.asked["channels"], audio.asked["device"]) == (16_000.0, 2, None)


def test_sound_that_waited_is_as_old_as_it_is() -> None:
    clock = FakeClock()
    source = open_source(clock=clock, library=Audio(False))
    came_ns, came_wall_ns = clock.monotonic_ns(), clock.wall_ns()
    clock.advance(0.5)

    samples = source.read()

    assert samples is not None
    assert (samples.stamp.mono_ns, samples.stamp.wall_ns) == (came_ns, came_wall_ns)


def test_sound_that_was_lost_is_a_gap() -> None:
    source = open_source(clock=FakeClock(), library=Audio(False, True))
    first, second = source.read(), source.read()

    assert first is not None
    assert second is not None
    assert second.times_s[0] - first.times_s[-1] > 3 / 16_000
    assert source.drops == {"overrun": 1}
    assert repr(source) == "<MicrophoneSource open, 640 samples, drops {'overrun': 1}>"


def test_a_microphone_that_went_away_is_lost() -> None:
    source = open_source(clock=FakeClock(), library=Audio(Audio.PortAudioError("Unanticipated\nhost error")))

    with pytest.raises(SourceLostError, match="cannot record on: no sound came, expected 16000 samples") as caught:
        source.read()
    assert caught.value.code == "microphone-lost"


def test_a_closed_microphone_gives_nothing_more() -> None:
    audio = Audio(False)
    source = open_source(clock=FakeClock(), library=audio)

    source.close()

    assert source.read() is None
    assert audio.closes >= 1
    assert "closed" in repr(source)


def test_closing_ends_a_read_that_waits() -> None:
    source = open_source(clock=FakeClock(), library=Audio())
    read: list[object] = []
    reader = threading.Thread(target=lambda: read.append(source.read()))
    reader.start()
    until(source._closing._reading.locked, "it reads")

    source.close()
    reader.join()

    assert read == [None]
    assert source.read() is None


def test_one_that_gives_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(microphone, "SILENT_S", 0.01)

    with pytest.raises(SourceLostError, match="no sound came"):
        open_source(clock=FakeClock(), library=Audio()).read()


def test_what_nobody_fetches_in_time_is_a_gap() -> None:
    audio = Audio(*[False] * (MOST_WAITING + 3))
    source = open_source(clock=FakeClock(), library=audio)

    for _ in range(MOST_WAITING):
        source.read()
    assert source.drops == {}
    audio.blocks = [False]
    audio.start()
    source.read()
    assert source.drops == {"overrun": 1}


@pytest.mark.parametrize(
    ("devices", "known"),
    [
        ((), "none on this box"),
        (Audio.PortAudioError("Error querying device -1"), "none that could be found"),
        ([{"name": "USB mic", "max_input_channels": 1}, {"name": "HDMI", "max_input_channels": 0}], "USB mic"),
    ],
)
def test_a_microphone_that_is_not_there_is_named_with_those_that_are(devices: Any, known: str) -> None:
    audio = Audio(opens=Audio.PortAudioError("Error querying device -1"), devices=devices)

    with pytest.raises(
        DeviceError, match=f"cannot open microphone 'desk': Error querying device -1, expected one of {known}"
    ):
        open_source(clock=FakeClock(), device="desk", library=audio)
    with pytest.raises(DeviceError, match="microphone of the system's choice"):
        open_source(clock=FakeClock(), library=audio)


def test_without_sounddevice_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)

    with pytest.raises(DeviceError, match=r"sounddevice is not installed.*install edged\[audio\]") as caught:
        open_source(clock=FakeClock())
    assert caught.value.code == "library-missing"


def test_without_portaudio_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)

    with pytest.raises(DeviceError, match=r"PortAudio library not found.*libportaudio2"):
        open_source(clock=FakeClock())


def test_the_installed_library_is_used_when_none_is_handed_in(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = ModuleType("sounddevice")
    vars(installed).update({name: getattr(Audio(False), name) for name in ("RawInputStream", "PortAudioError")})
    monkeypatch.setitem(sys.modules, "sounddevice", installed)

    assert open_source(clock=FakeClock()).read() is not None


def test_it_is_looked_for_again_only_where_it_was_not_found() -> None:
    there, later, never = Audio(False), Audio(opens=ValueError("none")), Audio(opens=ValueError("none"))
    later.found_after = 1
    for library in (there, later):
        open_source(clock=FakeClock(), library=library).close()
    with pytest.raises(DeviceError, match="cannot open microphone"):
        open_source(clock=FakeClock(), library=never)

    assert [library.looks for library in (there, later, never)] == [0, 1, 1]


def test_nothing_is_taken_away_from_another_that_records() -> None:
    other, missing = open_source(clock=FakeClock(), library=Audio()), Audio(opens=ValueError("none"))
    with pytest.raises(DeviceError) as caught:
        open_source(clock=FakeClock(), library=missing)
    assert missing.looks == 0
    assert "restart edged if it was plugged in just now" in caught.value.remedy

    other.close()
    with pytest.raises(DeviceError) as caught:
        open_source(clock=FakeClock(), library=missing)
    assert missing.looks == 1
    assert "restart" not in caught.value.remedy


def test_what_does_not_start_is_closed_and_portaudio_that_does_not_begin_is_told() -> None:
    silent = Audio()
    silent.starts = Audio.PortAudioError("Device unavailable")
    with pytest.raises(DeviceError, match="Device unavailable"):
        open_source(clock=FakeClock(), library=silent)
    assert silent.closes == 2

    class Broken(Audio):
        def _initialize(self) -> None:
            raise self.PortAudioError("no host API")

    with pytest.raises(DeviceError, match="no host API"):
        open_source(clock=FakeClock(), library=Broken(opens=ValueError("none")))
    assert not microphone._open
