from __future__ import annotations

import struct
import wave
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.domain.errors import ConfigError, SourceLostError
from edged.domain.frame import Samples
from edged.sources.wav import WavSource, open_source
from fakes.clock import FakeClock


def write(path: Path, frames: int = 1000, *, channels: int = 2, rate: int = 16_000) -> Path:
    """Write a ramp on each channel, the second one falling."""
    ramp = np.arange(frames, dtype="<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.stack([ramp, -ramp][:channels], 1).tobytes())
    return path


def drained(source: WavSource, most: int = 100) -> list[Samples]:
    blocks: list[Samples] = []
    while len(blocks) < most and (block := source.read()) is not None:
        blocks.append(block)
    source.close()
    return blocks


def test_every_sample_comes_once_in_order_with_its_time(tmp_path: Path) -> None:
    blocks = drained(open_source(path=write(tmp_path / "a.wav"), clock=FakeClock(), channels=[1, 0]))

    values = np.concatenate([block.values for block in blocks])
    times = np.concatenate([block.times_s for block in blocks])
    assert np.array_equal(values[:, 1] * 32768, np.arange(1000))
    assert np.array_equal(values[:, 0], -values[:, 1])
    assert times == pytest.approx(np.arange(1000) / 16_000)
    assert [block.stamp.index for block in blocks] == [319, 639, 959, 999]


def test_a_loop_goes_on_in_time_with_a_gap_between_the_rounds(tmp_path: Path) -> None:
    source = open_source(path=write(tmp_path / "a.wav", 320), clock=FakeClock(), loop=True)

    blocks = drained(source, 3)

    assert blocks[1].times_s[0] - blocks[0].times_s[-1] == pytest.approx(11 / 16_000)
    assert np.array_equal(blocks[1].values, blocks[0].values)


def test_a_file_that_ends_too_early_ends(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav")
    path.write_bytes(path.read_bytes()[:-1001])

    assert sum(len(block.values) for block in drained(open_source(path=path, clock=FakeClock()))) == 749


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"channels": [0, 2]}, "it has 2 channels, expected a channel 2"),
        ({"rate_hz": 8000.0}, "its rate is 16000 Hz, expected 8000 Hz"),
    ],
)
def test_a_file_that_is_not_what_the_configuration_says_is_refused(
    tmp_path: Path, settings: dict[str, object], text: str
) -> None:
    with pytest.raises(ConfigError, match=text):
        open_source(path=write(tmp_path / "a.wav"), clock=FakeClock(), **settings)  # type: ignore[arg-type] # as named


@pytest.mark.parametrize(
    ("rate_hz", "bits", "text"), [(0, 16, "it has 16 bits a sample at 0 Hz"), (8000, 64, "it has 64 bits a sample")]
)
def test_a_head_that_no_sound_has_is_refused(tmp_path: Path, rate_hz: int, bits: int, text: str) -> None:
    form = struct.pack("<HHIIHH", 1, 1, rate_hz, rate_hz * bits // 8, bits // 8, bits)
    parts = b"fmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", 64) + bytes(64)
    file = tmp_path / "a.wav"
    file.write_bytes(b"RIFF" + struct.pack("<I", 4 + len(parts)) + b"WAVE" + parts)
    with pytest.raises(ConfigError, match=f"{text}.*expected 8, 16, 24 or 32 bits"):
        open_source(path=file, clock=FakeClock())


@given(st.binary(min_size=44, max_size=44), st.integers(0, 200), st.sets(st.integers(0, 43)))
def test_no_head_breaks_it(noise: bytes, size: int, kept: set[int]) -> None:
    with TemporaryDirectory() as folder:
        whole = bytearray(write(Path(folder) / "a.wav", 200).read_bytes())
        whole[:44] = bytes(noise[at] if at not in kept else whole[at] for at in range(44))
        (Path(folder) / "b.wav").write_bytes(whole[: 44 + size])
        with suppress(ConfigError, SourceLostError):
            for block in drained(open_source(path=Path(folder) / "b.wav", clock=FakeClock())):
                assert np.isfinite(block.times_s).all()


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="it is empty, expected samples"):
        open_source(path=write(tmp_path / "a.wav", 0), clock=FakeClock())


@pytest.mark.parametrize(
    ("content", "text"), [(None, "No such file"), (b"", "ends too early"), (b"RIFFxxxxMP3 ", "WAVE")]
)
def test_what_is_no_wave_file_is_refused(tmp_path: Path, content: bytes | None, text: str) -> None:
    path = tmp_path / "a.wav"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(ConfigError, match=text):
        open_source(path=path, clock=FakeClock())


class Broken(wave.Wave_read):
    """A file on a disk that goes away."""

    def readframes(self, nframes: int) -> bytes:
        raise OSError(5, "Input/output error", nframes)


def test_a_file_that_cannot_be_read_on_is_lost(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav")
    source = WavSource(Broken(str(path)), path, FakeClock(), [0], loop=False)

    with pytest.raises(SourceLostError, match="Input/output error"):
        source.read()
    source.close()
    assert repr(source) == f"<WavSource {path} at 16000 Hz: 0 samples>"
