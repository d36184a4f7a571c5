from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edged.config.count import Count, Operator
from edged.config.schema import (
    CameraSource,
    Config,
    CsvSource,
    Device,
    Http,
    Mqtt,
    Pipeline,
    Tls,
    Updates,
    When,
)

TRIANGLE = ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0))


def test_a_configuration_without_pipelines_is_one() -> None:
    config = Config(device=Device(id="press-07"))

    assert (config.mqtt.host, config.mqtt.port, config.http) == ("localhost", 1883, None)


def test_nothing_in_a_configuration_can_be_changed() -> None:
    config = Config(device=Device(id="press-07"))

    with pytest.raises(ValidationError, match="frozen"):
        config.device.id = "other"  # type: ignore[misc] # the point of the test


@pytest.mark.parametrize("name", ["", "Press", "a_b", "a.b", "a" * 65, "a\n", "ä", 7])
def test_names_go_into_topics_and_are_held_to_their_alphabet(name: Any) -> None:
    with pytest.raises(ValidationError):
        Device(id=name)


@pytest.mark.parametrize(
    ("given_keys", "port"), [({}, 1883), ({"tls": {}}, 8883), ({"tls": {}, "port": 9000}, 9000), ({"port": 1}, 1)]
)
def test_the_brokers_port_follows_tls_unless_it_is_told(given_keys: dict[str, Any], port: int) -> None:
    assert Mqtt.model_validate(given_keys).port == port


def test_a_certificate_needs_its_key() -> None:
    with pytest.raises(ValidationError, match="cannot use cert or key alone"):
        Tls.model_validate({"cert": "/a"})


@pytest.mark.parametrize("value", [True, "5", float("inf"), float("nan"), -1.0])
def test_numbers_are_numbers(value: Any) -> None:
    with pytest.raises(ValidationError):
        Mqtt(budget_mb_per_day=value)


@pytest.mark.parametrize("value", ["/", "a\0b", ""])
def test_a_path_names_something(value: str) -> None:
    with pytest.raises(ValidationError, match="expected the name of a file or folder"):
        Updates.model_validate({"trust": value})


@pytest.mark.parametrize("window", ["1:00-05:00", "24:00-05:00", "01:00", "01:60-02:00"])
def test_a_window_is_two_times_of_day(window: str) -> None:
    with pytest.raises(ValidationError, match="pattern"):
        Updates(window=window)


@pytest.mark.parametrize(
    ("listen", "address"),
    [
        ("127.0.0.1:8080", ("127.0.0.1", 8080)),
        ("[::1]:80", ("::1", 80)),
        ("localhost:0", ("localhost", 0)),
    ],
)
def test_a_loopback_address_needs_no_token(listen: str, address: tuple[str, int]) -> None:
    assert Http(listen=listen).address == address


@pytest.mark.parametrize("listen", ["0.0.0.0:8080", "[::]:8080", "box.local:8080", "10.0.0.7:1"])
def test_any_other_address_needs_a_token(listen: str) -> None:
    with pytest.raises(ValidationError, match="without token_file"):
        Http(listen=listen)

    assert Http.model_validate({"listen": listen, "token_file": "/etc/token"}).address[1]


def test_a_token_for_reading_alone_needs_one_for_the_rest() -> None:
    with pytest.raises(ValidationError, match="cannot use read_token_file without token_file"):
        Http.model_validate({"listen": "127.0.0.1:8080", "read_token_file": "/etc/read"})


@pytest.mark.parametrize("listen", ["8080", ":8080", "127.0.0.1", "a:b", "127.0.0.1:99999", "[::1", "a@b:80", "h:80/x"])
def test_an_address_without_host_or_port_is_refused(listen: str) -> None:
    with pytest.raises(ValidationError, match="expected ADDRESS:PORT"):
        Http(listen=listen)


@pytest.mark.parametrize(
    "url",
    [
        "rtsp://viewer@10.0.0.7/x",
        "rtsp://viewer:pw@10.0.0.7/x",
        "HTTP://:pw@h",
        "rtspsrc location=rtsp://a:b@h/x ! decodebin ! appsink",
    ],
)
def test_user_information_in_a_url_is_a_fault(url: str) -> None:
    with pytest.raises(ValidationError, match="cannot use a URL with user information"):
        CameraSource(name="c", kind="camera", url=url)


@pytest.mark.parametrize("url", ["/dev/video0", "rtsp://10.0.0.7/x?at=a@b", "v4l2src device=/dev/video0 ! appsink"])
def test_devices_streams_and_pipelines_are_camera_urls(url: str) -> None:
    assert CameraSource(name="c", kind="camera", url=url).url == url


def test_a_picture_size_is_two_numbers() -> None:
    with pytest.raises(ValidationError, match="cannot ask for width or height alone"):
        CameraSource(name="c", kind="camera", url="/dev/video0", width=640)


@pytest.mark.parametrize("key", [{"time": "t"}, {"rate_hz": 200}])
def test_samples_have_a_time_of_their_own_or_a_rate(key: dict[str, Any]) -> None:
    source = CsvSource.model_validate({"name": "s", "kind": "csv", "path": "/a.csv", "columns": ["x"], **key})

    assert source.columns == ("x",)


def test_samples_without_a_time_are_refused() -> None:
    with pytest.raises(ValidationError, match="cannot date the samples without time or rate_hz"):
        CsvSource.model_validate({"name": "s", "kind": "csv", "path": "/a.csv", "columns": ["x"]})


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ({"anomaly": True, "label": "x"}, "cannot use anomaly together with label"),
        ({"min_value": 1.0, "zone": TRIANGLE}, "cannot use min_value together with zone"),
        ({"max_value": 1.0, "count": "== 0"}, "cannot use max_value together with count"),
        ({"anomaly": True, "dwell_s": 3.0}, "cannot use anomaly together with dwell_s"),
        ({"crosses": TRIANGLE[:2], "dwell_s": 3.0}, "cannot use dwell_s together with crosses"),
        ({"direction": "left"}, "cannot use direction without crosses"),
    ],
)
def test_a_condition_is_about_one_kind_of_result(keys: dict[str, Any], line: str) -> None:
    with pytest.raises(ValidationError, match=line):
        When.model_validate(keys)


def test_a_value_may_be_named_by_its_label() -> None:
    assert When.model_validate({"label": "bar", "min_value": 1.5}).label == "bar"


def test_a_line_has_two_ends_and_a_direction() -> None:
    when = When.model_validate({"crosses": TRIANGLE[:2], "direction": "left"})

    assert (when.crosses, when.direction) == (tuple(map(tuple, TRIANGLE[:2])), "left")


def test_a_zone_has_three_corners() -> None:
    with pytest.raises(ValidationError, match="at least 3"):
        When.model_validate({"zone": TRIANGLE[:2]})


def test_two_rules_of_one_name_are_refused() -> None:
    rules = [{"name": "r", "when": {}}, {"name": "r", "when": {}}]

    with pytest.raises(ValidationError, match="cannot tell rules apart: 'r' stands twice"):
        Pipeline.model_validate({"name": "p", "source": "s", "model": "m", "rule": rules})


@pytest.mark.parametrize(
    ("text", "count"),
    [(">= 1", Count(">=", 1)), ("==0", Count("==", 0)), (" <  3 ", Count("<", 3)), ("!= 2", Count("!=", 2))],
)
def test_a_count_is_an_operator_and_a_number(text: str, count: Count) -> None:
    assert Count.parse(text) == count


@pytest.mark.parametrize("text", ["1", ">=", "=> 1", ">= -1", ">= 1.5", ">= 1234567", 1, None, "≥ 1"])
def test_any_other_count_is_refused(text: Any) -> None:
    with pytest.raises(ValueError, match="expected an operator and a number"):
        Count.parse(text)


@given(st.sampled_from(["<", "<=", "==", "!=", ">=", ">"]), st.integers(0, 999_999), st.integers(0, 999_999))
def test_a_count_holds_as_its_text_reads(operator: Operator, number: int, found: int) -> None:
    count = Count(operator, number)

    assert Count.parse(str(count)) == count
    assert Count.parse(count) is count
    assert count.holds(found) == eval(f"{found} {count}")  # noqa: S307 # numbers and an operator of this test's own


LINE = [[0.5, 0.0], [0.5, 1.0]]


@pytest.mark.parametrize(
    ("when", "more", "line"),
    [
        ({"crosses": LINE}, {}, "expected track = true in the pipeline"),
        ({"dwell_s": 5}, {}, "expected track = true in the pipeline"),
        ({"then": {"model": "helmet"}}, {}, "expected a model of the pipeline's then: none"),
        ({"then": {"model": "helmet"}}, {"then": [{"model": "vest"}]}, "expected a model of the pipeline's then: vest"),
    ],
)
def test_a_rule_can_only_ask_for_what_its_pipeline_does(when: Any, more: dict[str, Any], line: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(line)):
        Pipeline.model_validate(
            {"name": "p", "source": "s", "model": "m", "rule": [{"name": "r", "when": when}], **more}
        )


@pytest.mark.parametrize(
    ("when", "more"),
    [
        ({"crosses": LINE}, {"track": True}),
        ({"dwell_s": 5}, {"track": True}),
        ({"then": {"model": "helmet", "label": "helmet", "absent": True}}, {"then": [{"model": "helmet"}]}),
    ],
)
def test_a_rule_may_ask_for_what_its_pipeline_does(when: Any, more: dict[str, Any]) -> None:
    pipeline = {"name": "p", "source": "s", "model": "m", "rule": [{"name": "r", "when": when}], **more}
    assert Pipeline.model_validate(pipeline).rule[0].name == "r"


@pytest.mark.parametrize(
    "zone", [[[0, 0], [0, 0], [0, 0]], [[0, 0], [0.5, 0.5], [1, 1]], [[0.2, 0.1], [0.2, 0.9], [0.2, 0.5]]]
)
def test_a_zone_has_an_area(zone: list[list[float]]) -> None:
    with pytest.raises(ValidationError, match="its corners lie on one line, expected an area"):
        When.model_validate({"zone": zone})


def test_a_small_or_crossed_zone_is_one() -> None:
    for zone in ([[0, 0], [0.001, 0], [0, 0.001]], [[0, 0], [1, 1], [1, 0], [0, 1]]):
        assert When.model_validate({"zone": zone}).zone


def test_a_line_to_cross_has_two_ends() -> None:
    with pytest.raises(ValidationError, match="both ends are one point"):
        When.model_validate({"crosses": [[0.5, 0.5], [0.5, 0.5]]})


@pytest.mark.parametrize(
    "host", ["", "a\0b", "a b", "a\n", "user@host", "host/path", "a..b", "x" * 254, "y" * 64 + ".local", "broker:1884"]
)
def test_a_host_is_a_name_or_an_address(host: str) -> None:
    with pytest.raises(ValidationError):
        Mqtt.model_validate({"host": host})


@pytest.mark.parametrize(
    "host", ["localhost", "10.0.0.7", "::1", "fe80::1%eth0", "broker.plant.local.", "my_broker", "größe.local"]
)
def test_names_and_addresses_are_hosts(host: str) -> None:
    assert Mqtt.model_validate({"host": host}).host == host


def test_no_text_holds_a_nul() -> None:
    with pytest.raises(ValidationError, match="it holds a NUL"):
        Mqtt.model_validate({"username": "a\0b"})


DEFERRED = """
import importlib, pkgutil
import edged.config, edged.domain, edged.fleet.schemas, edged.update.records, edged.control.profile
from pydantic import BaseModel

for package in (edged.config, edged.domain):
    for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)

def below(model):
    for one in model.__subclasses__():
        yield one
        yield from below(one)

ours = {one for one in below(BaseModel) if one.__module__.startswith("edged.")}
print(len(ours), *sorted(one.__name__ for one in ours if one.__pydantic_complete__))
"""
DEFAULTS = {"Bounds", "HeaderField", "Match"}
"""Made at import, since a default of another is one of these."""


def test_no_model_is_built_before_it_is_used() -> None:
    said = subprocess.run([sys.executable, "-c", DEFERRED], capture_output=True, text=True, check=True, cwd="/")
    count, *built = said.stdout.split()
    assert int(count) > 100
    assert set(built) <= DEFAULTS
