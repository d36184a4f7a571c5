"""``edgectl config init`` with a person: what is asked again, what is never shown, and what leaving in the middle leaves behind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from edgectl.config.asks import Person
from edgectl.config.found import Found
from edgectl.config.questions import Bundles, Places, Said, answers
from edged.assembly.box import model_folders
from edged.config import schema
from edged.config.load import load
from edged.domain.errors import ConfigError
from edged.update.manifest import find_bundles
from fakes.ptyscreen import PtyScreen

NOTHING = Found(None, (), (), ())
PORT = Path("/dev/ttyUSB0")
USUAL = ("a", "localhost", "")
"""Name, broker and user of most tests."""


class Typed:
    """Implements ``edgectl.config.asks.Asks``: a person who types what a test says, and the usual to everything behind it."""

    is_person = True

    def __init__(self, words: Sequence[str]) -> None:
        self._words = list(words)
        self.asked: list[str] = []
        self.told: list[str] = []

    def text(self, question: str, usual: str) -> str:
        self.asked.append(question)
        return self._words.pop(0) if self._words else usual

    def whether(self, question: str, *, usual: bool) -> bool:
        self.asked.append(question)
        return usual

    def secret(self, question: str) -> str:
        self.asked.append(question)
        return ""

    def say(self, line: str) -> None:
        self.told.append(line)


@pytest.fixture(scope="module")
def bundles() -> Bundles:
    return find_bundles(model_folders(schema.Config(device=schema.Device(id="a")))).bundles


def asked(bundles: Bundles, said: Said, *words: str) -> tuple[Typed, str]:
    person = Typed([*USUAL, *words])
    return person, answers(said, NOTHING, person, bundles, "a", Places(Path("/nowhere/mqtt.password"))).text()


@pytest.mark.parametrize(
    ("words", "told", "written"),
    [
        (("", "²", "9600"), "cannot use '²', expected a whole number above 0", "baud = 9600"),
        (("", "9" * 5000, "9600"), "expected a whole number above 0", "baud = 9600"),
        (("", "9600", "parts", "vibration"), "'parts' here: it looks at pictures", 'model = "vibration"'),
        (("", "9600", "vibration", "nan", "5"), "cannot use 'nan' as a rate", "rate_hz = 5.0"),
        (("", "9600", "vibration", "1e999", "-1", "5"), "cannot use '1e999' as a rate", "rate_hz = 5.0"),
    ],
)
def test_what_cannot_be_used_is_asked_again(bundles: Bundles, words: tuple[str, ...], told: str, written: str) -> None:
    person, text = asked(bundles, Said(ports=(PORT,)), *words)

    assert told in person.told[0]
    assert written in text


def test_a_password_in_an_address_is_refused_and_not_shown_again(bundles: Bundles) -> None:
    person, text = asked(
        bundles, Said(), "rtsp://viewer:hunter2@10.0.0.7/a", "rtsp://10.0.0.7/a@b", "vibration", "parts"
    )

    assert "without them; write username and password_file" in person.told[0]
    assert "'vibration' here: it takes samples" in person.told[1]
    assert "hunter2" not in "".join((text, *person.asked, *person.told))
    assert 'url = "rtsp://10.0.0.7/a@b"' in text


@pytest.mark.parametrize("said", [Said(device=""), Said(broker="")])
def test_what_was_said_empty_is_not_taken_for_unsaid(bundles: Bundles, said: Said) -> None:
    with pytest.raises(ConfigError, match="cannot"):
        asked(bundles, said)


def test_what_a_device_calls_itself_moves_no_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    Person().say("cameras: \x1b]0;owned\x07 C922\nbroker")

    assert capsys.readouterr().err == "cameras: ?]0;owned? C922?broker\n"


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """Give how the questions are asked about a box of which some is known."""
    places = ["--config", str(tmp_path / "edged.toml"), "--state", str(tmp_path / "state")]
    return ["config", "init", *places, "--device", "a", "--broker", "localhost"]


@pytest.mark.slow
@pytest.mark.parametrize("keys", ["hunter2\x03", "\x04"], ids=["Ctrl-C", "Ctrl-D"])
def test_leaving_in_the_middle_writes_nothing(
    tmp_path: Path, words: list[str], screens: list[PtyScreen], keys: str
) -> None:
    screen = PtyScreen(*words, "--username", "u")
    screens.append(screen)
    screen.until(lambda text: "Password" in text and screen.asks, "the question")
    assert screen.end(keys) == 1
    assert "Aborted" in screen.said
    assert "Traceback" not in screen.said
    assert "hunter2" not in screen.said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_what_is_typed_is_written_as_it_was_typed_and_the_password_for_the_daemon_alone(
    tmp_path: Path, words: list[str], screens: list[PtyScreen]
) -> None:
    screen = PtyScreen(*words, "--sample", "vibration", "--no-start", lines=60)
    screens.append(screen)
    for question, typed in (("User name", 'u"\\x'), ("Password", 'pass"\\é')):
        screen.until(lambda text, question=question: question in text and screen.asks, question)
        screen.press(f"{typed}\r")
    while screen.until(lambda _: screen.asks or screen.has_ended, "a question, or the end") and screen.asks:
        screen.press("\r")
    password = tmp_path / "mqtt.password"

    assert screen.end("") == 0
    assert "pass" not in screen.said.partition("Password")[2]
    assert load(tmp_path / "edged.toml").config.mqtt.username == 'u"\\x'
    assert (password.read_text("utf-8"), password.stat().st_mode & 0o007) == ('pass"\\é\n', 0)
