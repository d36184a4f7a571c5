"""What `edgectl watch` makes of documents and keys, without a terminal and without a broker."""

from __future__ import annotations

import json
import os
import re
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgectl.fleet.view import Device
from edgectl.watch import columns, page, terminal
from edgectl.watch.boxes import Boxes, Row, happening, rows_of
from edgectl.watch.inside import told
from edgectl.watch.live import headline, look_on
from edgectl.watch.view import View, pressed
from edgectl.watch.where import broker_of
from edged.domain.errors import ConfigError
from fakes.toldboxes import AT, event, figures, inventory, models, telemetry

ROWS = [Row("a", "x", "ok"), Row("b", "x", "failed"), Row("c", "x", "degraded")]


def hear(boxes: Boxes, stream: str, document: dict[str, Any], *, box: str = "press-07", now_s: float = 0.0) -> None:
    boxes.heard(f"edged/v1/d/{box}/out/{stream}", json.dumps(document).encode(), now_s)


def box(**documents: dict[str, Any]) -> Device:
    told = {"status": {"state": "online"}, "health": {"state": "ok"}}
    return Device(
        "press-07", told | {"inventory": inventory({"people": "person"}), "models": models("person")} | documents
    )


def only_row(device: Device, *, is_silent: bool = False) -> Row:
    (row,) = rows_of(device, is_silent=is_silent)
    return row


def test_a_row_has_the_figures_of_its_pipeline() -> None:
    row = only_row(box(telemetry=telemetry({"people": figures(9.8, drops=12)})))
    assert row == Row("press-07", "people", "ok", 9.8, 3.1, 83.4, 12, 61.4, "int8", "person 1.2.0")


def test_what_is_not_known_is_not_made_up() -> None:
    row = only_row(Device("press-07", {"status": {"state": "online"}}))
    assert row == Row("press-07", "", "unknown")


def test_a_pipeline_that_does_less_is_marked_with_its_rung() -> None:
    governed = {"people": {"level": "hard", "rung": "small", "reason": "hot"}}
    row = only_row(box(inventory=inventory({"people": "person"}, governed=governed)))
    assert row.rung == "▼small"


@pytest.mark.parametrize(
    ("documents", "is_silent", "state"),
    [
        ({}, False, "ok"),
        ({"status": {"state": "offline"}}, False, "offline"),
        ({}, True, "silent"),
        ({"health": {"state": "degraded"}}, False, "degraded"),
        ({"telemetry": telemetry({"people": figures(state="paused")})}, False, "paused"),
        ({"telemetry": telemetry({"people": figures() | {"source_state": "lost"}})}, False, "lost"),
    ],
)
def test_a_rows_state_is_the_worst_that_is_known(documents: dict[str, Any], is_silent: bool, state: str) -> None:
    assert only_row(box(**documents), is_silent=is_silent).state == state


def test_a_box_is_silent_after_three_and_a_half_of_its_own_intervals() -> None:
    boxes = Boxes()
    hear(boxes, "status", {"state": "online"})
    hear(boxes, "telemetry", telemetry({"people": figures()}), now_s=0.0)
    assert [row.state for row in boxes.rows(1000.0)] == ["unknown"], "its interval is not known yet"
    hear(boxes, "telemetry", telemetry({"people": figures()}), now_s=60.0)
    assert [row.state for row in boxes.rows(60.0 + 200.0)] == ["unknown"]
    assert [row.state for row in boxes.rows(60.0 + 220.0)] == ["silent"]


def test_events_and_alerts_are_kept_the_newest_first() -> None:
    boxes = Boxes()
    hear(boxes, "event/people", event("people", "at-the-gate", "start"))
    hear(boxes, "alert", {"schema": "edged.alert/1", "at": AT, "code": "drift", "component": "people", "message": "m"})
    assert [one.what for one in boxes.happenings()] == ["drift: m", "at-the-gate start person 0.91"]
    assert boxes.happenings("press-08") == []


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"detections": [{"label": "cat", "score": 0.5}, {"label": "dog", "score": 0.75}]}, "dog 0.75 +1"),
        ({"classes": [{"label": "ok", "score": 0.9}, {"label": "bad", "score": 0.1}]}, "ok 0.90"),
        ({"anomaly": {"score": 4.25, "threshold": 3.0, "is_anomaly": True}}, "score 4.25"),
        ({"values": [{"label": "wear", "value": 0.5}]}, "wear 0.5"),
        ({}, ""),
    ],
)
def test_an_event_says_what_it_saw(answer: dict[str, Any], words: str) -> None:
    document = {"schema": "edged.event/1", "rule": "r", "phase": "end", **answer}
    found = happening("b", document)
    assert found is not None
    assert found.what == f"r end {words}".strip()


def test_a_picture_beside_an_event_is_none() -> None:
    assert happening("b", {"schema": "edged.snapshot/1", "rule": "r"}) is None


# What can be read at all: ``read_json`` lets no infinity and no longer integer through.
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(-(10**18), 10**18)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["pipelines", "models", "latency_ms", "drops", "name", "governor", "state", "a", "reasons", "active"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(
    documents=st.dictionaries(
        st.sampled_from(["status", "health", "inventory", "models", "telemetry"]),
        st.dictionaries(
            st.sampled_from(["pipelines", "models", "state", "reasons", "readings", "process"]), JSON, max_size=4
        ),
    )
)
def test_whatever_a_box_tells_gives_lines_that_fit(documents: dict[str, Any]) -> None:
    device = Device("b", documents)
    rows = list(rows_of(device))
    lines = page.fleet_page(
        columns.ordered(rows, 0), [], View(), (80, 24), headline(Boxes(), rows, "w", is_connected=True)
    )
    assert all(line.cell_len <= 80 for line in lines)
    assert all(page.fitted(line, 80).cell_len <= 80 for line in told(device, [], 80))


@pytest.mark.parametrize(
    "payload", [b"\xff", b"[]", b"{", b"1", b"[" * 100, b'{"a":1e999}', b'{"a":Infinity}', b'{"a":' + b"1" * 400 + b"}"]
)
def test_what_is_no_document_is_counted_and_changes_nothing(payload: bytes) -> None:
    boxes = Boxes()
    boxes.heard("edged/v1/d/press-07/out/status", payload, 0.0)
    assert (boxes.names(), boxes.refused) == ([], 1)


def test_trouble_stands_first_and_an_unknown_figure_last() -> None:
    assert [row.box for row in columns.ordered(ROWS, columns.STATE)] == ["b", "c", "a"]
    rows = [Row("a", "", "ok"), Row("b", "", "ok", rate_hz=3.0), Row("c", "", "ok", rate_hz=1.0)]
    rate = [column.title for column in columns.COLUMNS].index("rate")
    assert [row.box for row in columns.ordered(rows, rate)] == ["c", "b", "a"]
    assert [row.box for row in columns.ordered(rows, rate, is_turned=True)] == ["b", "c", "a"]


@pytest.mark.parametrize("size", [(1, 1), (7, 3), (20, 5), (300, 90)])
def test_a_terminal_of_any_size_gets_no_more_lines_than_it_has(size: tuple[int, int]) -> None:
    rows = [Row(f"box-{number}", "p", "ok") for number in range(50)]
    head = headline(Boxes(), rows, "w", is_connected=False)
    for view in (View(), View(selected=("box-49", "p"))):
        lines = page.fleet_page(rows, [], view, size, head)
        assert len(lines) <= size[1]
        assert all(line.cell_len <= size[0] for line in lines)


@pytest.mark.parametrize("width", range(20, 200, 7))
def test_the_columns_never_take_more_than_the_terminal_has(width: int) -> None:
    cells = [one for one in columns.widths(width) if one]
    assert sum(cells) + columns.GAP * (len(cells) - 1) <= width


def test_everything_stands_at_80_columns() -> None:
    assert columns.widths(80) == [column.width for column in columns.COLUMNS]


@given(st.floats(min_value=0))
def test_a_number_takes_four_characters_at_most(value: float) -> None:
    assert len(columns.short(value)) <= 4
    assert len(columns.milliseconds(value)) <= 4


HOSTILE = "\x1b[2J\x1b]0;gone\x07\x9b31m\u202eb\r\n"


class Paper:
    """Implements edgectl.watch.live.Surface: keeps what is drawn, and presses the keys that it was given."""

    def __init__(self, *keys: str) -> None:
        self.size, self.drawn, self._keys = (80, 24), list[str](), [*keys, "q"]

    def draw(self, lines: list[str], size: tuple[int, int]) -> None:  # noqa: ARG002 - the port's
        self.drawn += lines

    def keys(self, within_s: float) -> list[str]:  # noqa: ARG002 - the port's
        return [self._keys.pop(0)]


def test_whatever_a_box_calls_itself_nothing_of_it_steers_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    boxes, name = Boxes(), f"evil{HOSTILE}"
    reason = dict.fromkeys(("code", "component", "message", "remedy"), HOSTILE)
    about = inventory({HOSTILE: HOSTILE}, governed={HOSTILE: {"level": HOSTILE, "rung": HOSTILE, "reason": HOSTILE}})
    hear(boxes, "status", {"state": "online"}, box=name)
    hear(boxes, "health", {"state": HOSTILE, "reasons": [reason]}, box=name)
    hear(boxes, "inventory", {**about, "profile": HOSTILE, "versions": {"edged": HOSTILE}}, box=name)
    hear(boxes, "models", models(HOSTILE), box=name)
    hear(boxes, "telemetry", telemetry({HOSTILE: {**figures(state=HOSTILE), "drops": {HOSTILE: 3}}}), box=name)
    hear(boxes, "event/x", event(HOSTILE, HOSTILE, HOSTILE, HOSTILE, f"2026-11-21T{HOSTILE}"), box=name)
    paper = Paper("enter", "down")

    look_on(paper, boxes, lambda: True, "broker:1883", 1.0)

    shown = "\n".join(paper.drawn)
    assert shown.count("evil?[2J") >= 2, "the fleet's page and the box's own"
    # Colours are the program's own.
    assert set(re.sub(r"\x1b\[[0-9;]*m", "", shown)) & set("\x1b\x07\x9b\u202e\r") == set()
    assert "\x1b[2J" not in shown


def test_figures_that_no_box_has_end_nothing() -> None:
    huge = {**figures(1e308), "drops": {"a": 1e308, "b": 1e308, "c": -1e308}, "latency_ms": {"age": {"p50": -1e308}}}
    row = only_row(box(telemetry=telemetry({"people": huge}, temp_c=1e308)))
    assert row.drops == 10**18
    assert page.fitted(page.line_of(row, 80), 80).cell_len <= 80


def test_a_selection_stays_on_its_pipeline_when_the_order_changes() -> None:
    view = pressed(View(), "down", ROWS)
    assert view.selected == ("b", "x")
    assert view.at(list(reversed(ROWS))) == 1
    assert view.at([ROWS[2], ROWS[0], ROWS[1]]) == 2


def test_a_selection_stays_on_its_box_when_that_tells_of_its_pipelines_at_last() -> None:
    view = pressed(View(), "end", [ROWS[0], Row("b", "", "unknown")])
    assert view.selected == ("b", "")
    assert view.at([ROWS[0], Row("b", "x", "ok"), Row("b", "y", "ok"), ROWS[2]]) == 1
    assert view.at([ROWS[0], ROWS[2]]) == 0


def test_keys_do_what_the_last_line_says() -> None:
    view = pressed(View(), "s", ROWS)
    assert view.column == columns.STATE + 1
    assert pressed(view, "S", ROWS).column == columns.STATE
    assert pressed(View(), "r", ROWS).is_turned
    inside = pressed(View(), "enter", ROWS)
    assert inside.is_inside
    assert pressed(inside, "down", ROWS).scrolled == 1
    assert not pressed(inside, "escape", ROWS).is_inside
    assert pressed(View(), "x", ROWS) == View()
    assert pressed(View(), "enter", []) == View()


def test_keys_are_read_one_by_one_and_unknown_sequences_left_out() -> None:
    assert terminal.keys_of("\x1b[Aq\r\x1b\x1b[15~\x1bOB") == ["up", "q", "enter", "escape", "down"]


def test_a_key_that_comes_in_pieces_is_one_key(monkeypatch: pytest.MonkeyPatch) -> None:
    reads, writes = os.pipe()
    with os.fdopen(reads) as stdin, monkeypatch.context() as patch:
        patch.setattr("sys.stdin", stdin)
        os.write(writes, b"q\x1b")
        behind = threading.Timer(0.01, os.write, (writes, b"[F"))
        behind.start()
        assert terminal.Terminal().keys(5.0) == ["q", "end"]
        behind.join()
        os.write(writes, b"\x1b")
        os.close(writes)
        assert terminal.Terminal().keys(5.0) == ["escape"]
        assert terminal.Terminal().keys(5.0) == ["interrupt"], "the terminal is gone"


@pytest.mark.parametrize(
    ("read", "is_partial"), [(b"\x1b", True), (b"a\x1b[1;", True), (b"\x1bO", True), (b"\x1b[A", False), (b"q", False)]
)
def test_what_may_be_the_beginning_of_a_key_is_waited_for(read: bytes, is_partial: bool) -> None:
    assert bool(terminal.PARTIAL.search(read)) is is_partial


def test_only_lines_that_changed_are_sent() -> None:
    assert terminal.difference(["a", "b", "c"], ["a", "b", "c"]) == ""
    assert terminal.difference(["a", "b", "c"], ["a", "x"]) == "\x1b[2;1Hx\x1b[K\x1b[3;1H\x1b[K"


def test_the_broker_is_that_of_the_fleets_file_or_of_a_box_without_users(tmp_path: Path) -> None:
    fleet, here = tmp_path / "fleet.toml", tmp_path / "edged.toml"
    fleet.write_text('[mqtt]\nhost = "a"\nusername = "desk"\n', encoding="utf-8")
    here.write_text('[device]\nid = "press-07"\n[mqtt]\nhost = "b"\nport = 1884\n', encoding="utf-8")
    assert broker_of(fleet, "").mqtt.username == "desk"
    assert broker_of(here, "").mqtt.port == 1884
    assert (broker_of(None, "c:99").mqtt.host, broker_of(None, "[::1]").mqtt.host) == ("c", "::1")


def test_a_box_with_a_user_of_its_own_is_refused_since_that_would_lose_its_connection(tmp_path: Path) -> None:
    here = tmp_path / "edged.toml"
    here.write_text('[device]\nid = "press-07"\n[mqtt]\nusername = "press-07"\n', encoding="utf-8")
    with pytest.raises(ConfigError, match="its connection is edged's own"):
        broker_of(here, "")


@pytest.mark.parametrize("broker", ["a:b", ":1", "a:"])
def test_a_broker_that_cannot_be_read_is_refused(broker: str) -> None:
    with pytest.raises(ConfigError, match="expected HOST or HOST:PORT"):
        broker_of(None, broker)
