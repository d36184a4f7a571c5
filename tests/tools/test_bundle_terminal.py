from __future__ import annotations

import io
from typing import Any

import pytest
import typer

from edgectl.bundle import terminal
from edgectl.bundle.inputs import Guess
from edged.config.share import shipped
from fakes.ptyscreen import PtyScreen


def asked(monkeypatch: pytest.MonkeyPatch, answer: str, key: str, guess: Guess | None) -> Any:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{answer}\n"))
    return terminal.ask(key, guess)


def test_enter_takes_what_is_usual(monkeypatch: pytest.MonkeyPatch) -> None:
    guess = Guess((127.5, 127.5), "usual", is_sure=False)
    assert asked(monkeypatch, "", "mean", guess) == (127.5, 127.5)


@pytest.mark.parametrize(
    ("answer", "key", "like", "value"),
    [
        ("1, 2 3", "mean", (0.0,), (1.0, 2.0, 3.0)),
        ("64", "stride", 32, 64),
        ("bgr", "color", "rgb", "bgr"),
        ("0.5", "threshold", None, 0.5),
        ("320", "width", None, 320),
        ("MIT", "license", None, "MIT"),
    ],
)
def test_an_answer_is_read_as_the_kind_of_value_that_belongs_there(
    monkeypatch: pytest.MonkeyPatch, answer: str, key: str, like: Any, value: Any
) -> None:
    guess = None if like is None else Guess(like, "usual", is_sure=False)
    assert asked(monkeypatch, answer, key, guess) == value


def test_an_answer_that_is_no_number_is_refused() -> None:
    with pytest.raises(typer.BadParameter, match="'many' is no int"):
        terminal.parsed("many", 3)


@pytest.mark.slow
def test_what_is_being_done_shows_on_a_terminal() -> None:
    screen = PtyScreen("bundle", "verify", str(shipped("models") / "sensor-forecast"))
    try:
        screen.until(lambda shown: "onnx-fp16" in shown, "the table of all")
        assert screen.end("") == 0
        # Each for as long as it takes: the terminal is drawn a few times a second, and may miss some.
        before_the_table = screen.said.partition("variant")[0]
        assert "tflite-" in before_the_table or "onnx-" in before_the_table, "a variant that is verified"
    finally:
        screen.close()


def test_a_long_cell_is_whole_when_piped(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.print_table(("a", "b"), [("x" * 150, 1.5), ("[bold]", 22.25)])
    lines = capsys.readouterr().out.splitlines()
    assert "x" * 150 in lines[1]
    assert "[bold]" in lines[2]
