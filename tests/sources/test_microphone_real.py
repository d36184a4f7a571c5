"""A microphone through PortAudio, ALSA and a sound server, all of them real, that is plugged in and out and hangs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edged.domain.errors import DeviceError, SourceLostError
from edged.domain.frame import Samples
from edged.hardware.clock import SystemClock
from edged.sources.microphone import MicrophoneSource, open_source
from fakes import soundcard
from fakes.soundcard import MIC, RATE_HZ, SoundCard
from fakes.waiting import until

TONE_HZ = 440

pytestmark = pytest.mark.slow


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SoundCard]:
    soundcard.needed()
    made = SoundCard(tmp_path)
    for name, value in made.environ.items():
        monkeypatch.setenv(name, value)
    made.say(8_000 * np.sin(2 * np.pi * TONE_HZ * np.arange(RATE_HZ) / RATE_HZ))
    yield made
    made.unplug()


def record(source: MicrophoneSource, seconds: float) -> list[Samples]:
    blocks: list[Samples] = []
    while sum(len(one.values) for one in blocks) < seconds * RATE_HZ:
        found = source.read()
        assert found is not None
        blocks.append(found)
    return blocks


def loudest_hz(blocks: list[Samples]) -> float:
    heard = np.concatenate([one.values[:, 0] for one in blocks])[-RATE_HZ:]
    return float(np.argmax(np.abs(np.fft.rfft(heard * np.hanning(len(heard))))) * RATE_HZ / len(heard))


def test_what_is_said_is_heard_at_its_rate(card: SoundCard) -> None:
    card.plug()
    source = open_source(clock=SystemClock(), device=MIC)

    blocks = record(source, 2.0)
    source.close()

    assert loudest_hz(blocks) == TONE_HZ
    assert 0.1 < np.abs(blocks[-1].values).max() < 0.3
    times_s = np.concatenate([one.times_s for one in blocks])
    assert (np.diff(times_s) > 0).all()


def test_one_that_was_not_there_at_first_is_found_and_found_again_after_it_was_gone(card: SoundCard) -> None:
    with pytest.raises(DeviceError, match="cannot open microphone 'mic'"):
        open_source(clock=SystemClock(), device=MIC)
    for _ in range(2):
        card.plug()
        source = open_source(clock=SystemClock(), device=MIC)
        assert loudest_hz(record(source, 1.0)) == TONE_HZ

        card.unplug()
        with pytest.raises(SourceLostError, match="cannot record on"):
            record(source, 10.0)
        source.close()


def test_one_that_hangs_is_lost_and_another_try_tells_it(card: SoundCard) -> None:
    card.plug()
    source = open_source(clock=SystemClock(), device=MIC)
    record(source, 0.1)

    card.hang()
    with pytest.raises(SourceLostError, match="no sound came, expected 16000 samples a second"):
        record(source, 10.0)
    source.close()
    with pytest.raises(DeviceError, match="one that was lost is not closed yet"):
        open_source(clock=SystemClock(), device=MIC)

    card.go_on()
    until(opens, "it is closed and opened again")


def opens() -> bool:
    try:
        source = open_source(clock=SystemClock(), device=MIC)
    except DeviceError:
        return False
    heard = loudest_hz(record(source, 1.5))
    source.close()
    return heard == TONE_HZ


def test_a_microphone_that_is_not_there_is_told_with_those_that_are(card: SoundCard) -> None:
    card.plug()

    with pytest.raises(DeviceError, match="No input device matching 'desk', expected one of mic, default"):
        open_source(clock=SystemClock(), device="desk")


def test_while_one_is_open_it_is_said_that_no_other_is_found_anew(card: SoundCard) -> None:
    card.plug()
    source = open_source(clock=SystemClock(), device=MIC)

    with pytest.raises(DeviceError) as caught:
        open_source(clock=SystemClock(), device="desk")
    source.close()

    assert "restart edged if it was plugged in just now" in caught.value.remedy
