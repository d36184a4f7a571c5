"""A word that is spoken into a real microphone becomes an event over MQTT; the microphone is pulled out and comes back."""

from __future__ import annotations

import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fakes import brokers, soundcard
from fakes.assetbundle import materialise
from fakes.daemon import DaemonProcess, write_config
from fakes.sensor import pipeline
from fakes.soundcard import MIC, RATE_HZ, SoundCard
from fakes.subscriber import Subscriber
from fakes.waiting import until

pytestmark = [pytest.mark.assets, pytest.mark.slow]

BODY = f"""
[[source]]
name = "hall"
kind = "microphone"
device = "{MIC}"
"""
YES = '[[pipeline.rule]]\nname = "yes"\nwhen = { label = "yes", min_score = 0.8 }\ngap_s = 0.2\n'


@pytest.fixture
def card(tmp_path: Path) -> Iterator[SoundCard]:
    soundcard.needed()
    (tmp_path / "card").mkdir()
    made = SoundCard(tmp_path / "card")
    yield made
    made.unplug()


def spoken(assets: Path, word: str) -> np.ndarray:
    """Give a word, and a second of silence behind it."""
    with wave.open(str(assets / "sensors" / f"{word}_1000ms.wav")) as file:
        sound = np.frombuffer(file.readframes(-1), "<i2")
    return np.concatenate([sound, np.zeros(RATE_HZ, "<i2")])


def test_a_spoken_word_is_an_event_and_is_one_again_after_the_microphone_was_gone(
    assets: Path, tmp_path: Path, card: SoundCard
) -> None:
    materialise("keyword", assets, tmp_path / "models")
    body = BODY + pipeline("word", source="hall", model="keyword", more=f'pin = "int8"\n{YES}')
    broker = brokers.mosquitto(tmp_path)
    heard = Subscriber(broker.port)
    card.say(spoken(assets, "no"))
    card.plug()
    daemon = DaemonProcess(write_config(tmp_path, broker.port, body), env=card.environ).start()
    try:
        until(lambda: len(heard.of("result/word")) > 4, "it listens")
        assert heard.of("event/word") == []

        card.say(spoken(assets, "yes"))
        until(lambda: heard.of("event/word"), "a spoken yes is heard")

        card.unplug()
        try:
            until(lambda: heard.reason("hall"), "it is told that the microphone is gone")
        except pytest.fail.Exception as error:
            pytest.fail(f"{error}; {heard.last('health')}\n{daemon.said()}")
        assert "cannot record on" in heard.reason("hall") or "cannot open microphone" in heard.reason("hall")

        before = len(heard.of("event/word"))
        card.plug()
        until(lambda: len(heard.of("event/word")) > before + 1, "yes is heard again")
        until(lambda: not heard.reason("hall"), "all is well again")
        assert daemon.stop()[0] == 0
    finally:
        daemon.close()
        heard.close()
        broker.close()
