"""The Sparkplug package's own words, read by pysparkplug: what is said when, and how its bytes are."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.domain.errors import ConfigError
from edged.fleet.settings import LinkSettings, TlsFiles
from edged.sinks.box import SinkBox
from fakes.toldboxes import AT, event, figures, inventory, telemetry

PACKAGE = Path(__file__).resolve().parents[2] / "tools" / "edged-sparkplug"
AT_MS = 1_795_255_331_000
"""``AT``."""
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
METRICS = st.lists(
    st.tuples(TEXT, st.just("INT32"), st.integers(0, 2**31 - 1))
    | st.tuples(TEXT, st.just("INT64"), st.integers(0, 2**63 - 1))
    | st.tuples(TEXT, st.just("DOUBLE"), st.floats(allow_nan=False))
    | st.tuples(TEXT, st.just("BOOLEAN"), st.booleans())
    | st.tuples(TEXT, st.just("STRING"), TEXT)
    | st.tuples(TEXT, st.sampled_from(["INT32", "DOUBLE", "STRING"]), st.none()),
    max_size=6,
)


@pytest.fixture(scope="module", autouse=True)
def the_package() -> Iterator[None]:
    """Let its modules be found, without installing it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(PACKAGE)
        yield


@pytest.fixture(scope="module")
def spb() -> Any:
    return pytest.importorskip("pysparkplug", reason="needs pysparkplug (extra `dev`)")


def node(**pipelines: tuple[str, ...]) -> Any:
    made = import_module("edged_sparkplug.node").Node("edged", "press-07", pipelines or {"people": ("gate",)}, -1)
    made.connecting(0)
    return made


def kinds(messages: list[Any]) -> list[str]:
    return ["/".join((message.topic.split("/")[2], *message.topic.split("/")[4:])) for message in messages]


def read(spb: Any, message: Any) -> Any:
    words = {"NBIRTH": "NBirth", "DBIRTH": "DBirth", "NDATA": "NBirth", "DDATA": "DBirth", "DDEATH": "DDeath"}
    return getattr(spb, words[message.topic.split("/")[2]]).decode(message.payload)


def values(spb: Any, message: Any) -> dict[str, Any]:
    return {metric.name: metric.value for metric in read(spb, message).metrics}


@given(metrics=METRICS, seq=st.integers(0, 255))
def test_whatever_is_written_another_implementation_reads(metrics: list[tuple[str, str, Any]], seq: int) -> None:
    spb = pytest.importorskip("pysparkplug", reason="needs pysparkplug (extra `dev`)")
    payload = import_module("edged_sparkplug.payload")
    rows = [payload.Metric(name, payload.DataType[kind], value, 5) for name, kind, value in metrics]

    found = spb.DBirth.decode(payload.write(rows, 7, seq))

    assert (found.timestamp, found.seq) == (7, seq)
    assert [(one.name, one.datatype.name, one.value, one.timestamp) for one in found.metrics] == [
        (name, kind, value, 5) for name, kind, value in metrics
    ]


def test_births_tell_every_metric_with_its_type_and_null_for_what_is_unknown(spb: Any) -> None:
    one = node()
    birth, device = one.births(5)
    assert (birth.topic, device.topic) == ("spBv1.0/edged/NBIRTH/press-07", "spBv1.0/edged/DBIRTH/press-07/people")
    assert [read(spb, message).seq for message in (birth, device)] == [0, 1]
    assert values(spb, birth) | {"bdSeq": 0, "Node Control/Rebirth": False} == values(spb, birth)
    assert values(spb, device)["Rules/gate"] is False
    assert values(spb, device)["Rate Hz"] is None


def test_only_what_changed_is_told_with_the_time_of_its_document(spb: Any) -> None:
    one = node()
    one.births(5)
    (first,) = one.take("event/people", event("people", "gate", "start"), 9)
    assert kinds([first]) == ["DDATA/people"]
    assert values(spb, first) == {"Rules/gate": True}
    assert read(spb, first).metrics[0].timestamp == AT_MS
    assert one.take("event/people", event("people", "gate", "ongoing"), 9) == []
    (last,) = one.take("event/people", event("people", "gate", "end"), 9)
    assert values(spb, last) == {"Rules/gate": False}


def test_nothing_is_told_before_the_births_which_tell_what_stands(spb: Any) -> None:
    one = node()
    assert one.take("telemetry", telemetry({"people": figures(7.5)}), 5) == []
    assert one.take("health", {"at": AT, "state": "degraded"}, 5) == []
    birth, device = one.births(6)
    assert values(spb, birth)["Health"] == "degraded"
    assert values(spb, device)["Rate Hz"] == 7.5
    one.lost()
    assert one.take("health", {"at": AT, "state": "ok"}, 7) == []


def test_figures_of_the_node_and_of_each_pipeline_come_from_one_document(spb: Any) -> None:
    one = node(people=(), gate=())
    one.births(5)
    told = one.take("telemetry", telemetry({"people": figures(9.0, drops=3), "gate": figures(1.0)}), 6)
    assert kinds(told) == ["NDATA", "DDATA/people", "DDATA/gate"]
    assert values(spb, told[0]) == {"Pressure": "calm", "Temperature": 61.4, "Memory MiB": 118.0}
    assert values(spb, told[1])["Dropped"] == 3
    assert values(spb, told[2])["Rate Hz"] == 1.0
    told = one.take("inventory", {"at": AT, **inventory({"people": "person", "gate": "parts"})}, 7)
    assert values(spb, told[1]) == {"Model": "person", "Rung": "int8"}


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        (
            {"detections": [{"label": "a", "score": 0.5}, {"label": "b", "score": 0.75}]},
            {"Label": "b", "Score": 0.75, "Count": 2},
        ),
        ({"detections": []}, {"Count": 0}),
        ({"classes": [{"label": "ok", "score": 0.5}]}, {"Label": "ok", "Score": 0.5}),
        ({"anomaly": {"score": 2.0, "threshold": 1.0, "is_anomaly": True}}, {"Anomaly": True, "Anomaly Score": 2.0}),
        ({"values": [{"label": "wear", "value": 1}]}, {"Value": 1.0}),
    ],
)
def test_a_result_tells_its_answer(spb: Any, answer: dict[str, Any], wanted: dict[str, Any]) -> None:
    one = node()
    one.births(5)
    body = {"schema": "edged.result/1", "captured_at": AT, "status": "ok", "model": {"version": "1.0.0"}, **answer}
    (message,) = one.take("result/people", body, 6)
    expected = {f"Result/{name}": value for name, value in wanted.items()}
    assert values(spb, message) == expected | {"Result/Status": "ok", "Model Version": "1.0.0"}


def test_a_pipeline_that_gives_nothing_dies_and_is_born_again(spb: Any) -> None:
    one = node()
    one.births(5)
    lost = telemetry({"people": figures() | {"source_state": "lost"}})
    assert kinds(one.take("telemetry", lost, 6)) == ["NDATA", "DDATA/people", "DDEATH/people"]
    assert one.take("event/people", event("people", "gate", "start"), 6) == []
    assert kinds(one.births(7)) == ["NBIRTH"]
    *_, birth = one.take("telemetry", telemetry({"people": figures()}), 8)
    assert kinds([birth]) == ["DBIRTH/people"]
    assert values(spb, birth)["Rules/gate"] is True


def test_numbers_count_to_255_and_begin_anew(spb: Any) -> None:
    one = node()
    one.births(5)
    phases = ("start", "end") * 200
    seqs = [
        read(spb, message).seq
        for phase in phases
        for message in one.take("event/people", event("people", "gate", phase), 6)
    ]
    assert seqs == [(2 + index) % 256 for index in range(400)]


def test_a_will_has_the_number_of_the_birth_behind_it_and_each_connection_another(spb: Any) -> None:
    one = node()
    found = []
    for _ in range(300):
        will = one.connecting(5)
        found.append(spb.NDeath.decode(will.payload).bd_seq_metric.value)
        assert values(spb, one.births(6)[0])["bdSeq"] == found[-1]
        assert (will.topic, will.qos) == ("spBv1.0/edged/NDEATH/press-07", 1)
    assert found == [(1 + index) % 256 for index in range(300)]


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [("Node Control/Rebirth", True, True), ("Node Control/Rebirth", False, False), ("x", True, False)],
)
def test_births_come_anew_on_the_nodes_own_command_alone(spb: Any, name: str, value: bool, wanted: bool) -> None:
    metric = spb.Metric(timestamp=1, name=name, datatype=spb.DataType.BOOLEAN, value=value)
    command = spb.NCmd(timestamp=1, metrics=(metric,)).encode(include_dtypes=True)
    assert node().wants_births("spBv1.0/edged/NCMD/press-07", command) is wanted
    assert not node().wants_births("spBv1.0/edged/NCMD/other", command)


@pytest.mark.parametrize("payload", [b"", b"\xff", b"\x12\x7f", b"\x12\x04\x0a\x7fxx"])
def test_a_command_that_is_none_is_left_alone(payload: bytes) -> None:
    assert not node().wants_births("spBv1.0/edged/NCMD/press-07", payload)


@pytest.mark.parametrize("lacks", ["pipelines", "readings", "governor", "process", "at"])
def test_a_document_that_lacks_something_breaks_nothing(lacks: str) -> None:
    one = node()
    one.births(5)
    told = telemetry({"people": figures()})
    del told[lacks]
    assert "NDATA" in kinds(one.take("telemetry", told, 6))
    assert one.take("alert", {"schema": "edged.alert/1"}, 6) == []
    assert one.take("event/people", {"schema": "edged.snapshot/1", "rule": "gate"}, 6) == []


def box(**more: Any) -> SinkBox:
    broker = LinkSettings("plant", 8883, "press-07", username="press-07", tls=TlsFiles(ca=Path("/ca.pem")))
    return SinkBox("press-07", {"people": ()}, broker, Path("/nowhere"), **more)


def test_without_options_the_boxs_broker_is_used_and_never_its_user() -> None:
    options = import_module("edged_sparkplug.options").read_options({}, box())
    assert (options.host, options.port, options.group, options.node) == ("plant", 8883, "edged", "press-07")
    assert options.tls.ca == Path("/ca.pem")
    assert (options.username, options.client_id) == (None, "press-07-sparkplug")


def test_another_broker_has_its_own_port_and_tls() -> None:
    options = import_module("edged_sparkplug.options").read_options({"host": "other", "username": "scada"}, box())
    assert (options.host, options.port, options.tls, options.client_id) == ("other", 1883, None, "scada")


def test_the_boxs_own_user_is_refused_at_its_own_broker() -> None:
    read_options, mine = import_module("edged_sparkplug.options").read_options, box()
    for more in ({}, {"host": "plant"}):
        with pytest.raises(ConfigError, match="its connection is edged's own"):
            read_options({"username": "press-07", **more}, mine)
    assert read_options({"username": "press-07", "host": "other"}, mine).username == "press-07"


@pytest.mark.parametrize("given_options", [{"groop": "a"}, {"group": "a/b"}, {"port": 0}, {"node": "+"}])
def test_options_that_cannot_be_are_refused_with_their_names(given_options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"'sparkplug': {next(iter(given_options))}"):
        import_module("edged_sparkplug.options").read_options(given_options, box())
