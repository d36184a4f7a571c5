from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edged.assembly.tracing import MOST_EARLY, Tracing
from edged.config.load import Loaded, RejectedConfigError, load
from edged.telemetry.trace import Span
from fakes.clock import FakeClock
from fakes.collector import Collected, collector
from fakes.waiting import LONGEST_S


@pytest.fixture
def end() -> Iterator[Collected]:
    with collector() as found:
        yield found


def loaded(folder: Path, text: str) -> Loaded:
    file = folder / "edged.toml"
    file.write_text(f'[device]\nid = "press-07"\n{text}')
    return load(file)


def tracing(folder: Path, text: str) -> Tracing:
    return Tracing(loaded(folder, f"[tracing]\n{text}").config, FakeClock())


def test_an_empty_section_names_traces_and_collects_none(tmp_path: Path) -> None:
    made = tracing(tmp_path, "")
    made.start()

    made.tracer.export((object(),))
    assert (made.tracer.share, made.reasons(), repr(made)) == (0.01, (), "<Tracing 0.01 of all to nobody>")
    made.stop()
    assert made.join(LONGEST_S)


@pytest.mark.slow
def test_spans_from_before_the_way_was_open_are_sent_and_bounded(tmp_path: Path, end: Collected) -> None:
    made = tracing(tmp_path, f'endpoint = "{end.url}"\nsample = 1.0\n')
    for number in range(MOST_EARLY + 1):
        made.tracer.export((Span(f"frame {number}", made.tracer.begin(), None, 1, 2),))
    made.start()
    made.stop()

    assert made.join(10)
    assert [span.name for span in end.spans] == [f"frame {number}" for number in range(1, MOST_EARLY + 1)]
    assert (end.resource["service.name"], end.resource["service.instance.id"]) == ("edged", "press-07")


def test_a_token_that_is_not_there_is_a_reason_and_tried_again_at_a_reload(tmp_path: Path, end: Collected) -> None:
    token = tmp_path / "token"
    made = tracing(tmp_path, f'endpoint = "{end.url}"\ntoken_file = "{token}"\n')
    made.start()
    (reason,) = made.reasons()
    assert (reason.code, reason.component) == ("credential-missing", "tracing")
    token.write_text("t")
    made.reload()

    assert made.reasons() == ()
    made.stop()
    assert made.join(30)


def test_an_endpoint_that_is_none_is_a_fault_of_the_configuration(tmp_path: Path) -> None:
    with pytest.raises(RejectedConfigError, match=r"tracing\.endpoint: cannot send traces there, expected an http"):
        loaded(tmp_path, '[tracing]\nendpoint = "collector:4317"\n')


@pytest.mark.slow
def test_without_an_endpoint_nothing_of_opentelemetry_is_loaded() -> None:
    script = (
        "import sys; from edged.assembly import wiring, tracing; "
        "print([name for name in sys.modules if name.startswith('opentelemetry') or name == 'requests'])"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd="/")

    assert said.stdout == "[]\n"
