"""The Grafana dashboard and the documentation's alerts ask for nothing that a box does not tell."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import promql_parser as promql
import pytest
from prometheus_client.parser import text_string_to_metric_families

from edged.assembly.scraping import ROWS
from fakes.brokers import BrokerProcess, free_port
from fakes.daemon import DaemonProcess, write_config
from fakes.sensor import csv_source, pipeline, sensor_bundle, write_windows
from fakes.waiting import until

DOCS = Path(__file__).resolve().parents[2] / "docs"
DASHBOARD = json.loads((DOCS / "grafana" / "edged.json").read_text("utf-8"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
HARDWARE = {
    "edged_temperature_celsius",
    "edged_accelerator_temperature_celsius",
    "edged_throttled",
    "edged_under_voltage",
}
"""What a machine without sensors, or in a cloud, cannot tell."""
MISHAPS = {"edged_frames_dropped_total", "edged_results_unknown_total"}
"""What is told by cause, and not before the first one."""
OF_PROMETHEUS = {"instance", "job", "le"}
VARIABLES = {"$__rate_interval": "1m", "$instance": ".+"}


def expressions() -> list[str]:
    alerts = re.findall(r"^\| `([^`]+)` \| ", (DOCS / "metrics.md").read_text("utf-8"), re.MULTILINE)
    return [target["expr"] for panel in PANELS for target in panel["targets"]] + alerts


def parsed(expression: str) -> Any:
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    return promql.parse(expression)


def selectors(node: Any) -> Iterator[Any]:
    if isinstance(node, promql.VectorSelector):
        yield node
    for name in ("expr", "lhs", "rhs", "vector_selector"):
        if (below := getattr(node, name, None)) is not None and not isinstance(below, str):
            yield from selectors(below)
    for below in getattr(node, "args", None) or ():
        yield from selectors(below)


def asked() -> set[str]:
    return {one.name for expression in expressions() for one in selectors(parsed(expression))}


def test_every_expression_is_promql_and_asks_for_something() -> None:
    assert len(expressions()) > 30
    for expression in expressions():
        assert list(selectors(parsed(expression))), expression


def test_every_name_is_one_that_boxes_tell() -> None:
    told = {row.name for row in ROWS if row.kind != "histogram"}
    told |= {f"{row.name}_{part}" for row in ROWS if row.kind == "histogram" for part in ("bucket", "sum", "count")}

    assert asked() - told == set()


def test_panels_lie_side_by_side_and_none_on_another() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_every_panel_says_from_where_and_of_what_and_has_a_query_for_each_series() -> None:
    for panel in PANELS:
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert [target["refId"] for target in panel["targets"]] == [chr(65 + n) for n in range(len(panel["targets"]))]
        assert panel["description"].endswith((".", "…")), panel["title"]
        # A table's columns have units of their own.
        assert panel["type"] == "table" or panel["fieldConfig"]["defaults"]["unit"], panel["title"]
    assert [variable["name"] for variable in DASHBOARD["templating"]["list"]] == ["datasource", "instance"]


@pytest.mark.slow
def test_a_box_that_runs_tells_all_that_the_dashboard_asks_for_with_its_labels(
    broker: BrokerProcess, tmp_path: Path
) -> None:
    sensor_bundle(tmp_path / "models" / "level")
    recording = csv_source(write_windows(tmp_path / "spindle.csv", range(5)), more="loop = true\n")
    rule = '[[pipeline.rule]]\nname = "any"\nwhen = { min_value = 0.0 }\n'
    port = free_port()
    config = write_config(
        tmp_path, broker.port, recording + pipeline("a") + rule, more=f'[http]\nlisten = "127.0.0.1:{port}"\n'
    )
    daemon = DaemonProcess(config).start()
    try:
        until(lambda: asked() - scraped(port).keys() <= HARDWARE | MISHAPS, "it tells all that is asked for")
        told = scraped(port)
    finally:
        daemon.close()
    for expression in expressions():
        for one in selectors(parsed(expression)):
            labels = {matcher.name for matcher in one.matchers.matchers} - OF_PROMETHEUS
            assert one.name not in told or labels <= told[one.name], expression


def scraped(port: int) -> dict[str, set[str]]:
    """Give the labels of every name."""
    found: dict[str, set[str]] = {}
    try:
        with urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            text = answer.read().decode()
    except OSError:
        return found
    for family in text_string_to_metric_families(text):
        for one in family.samples:
            found.setdefault(one.name, set()).update(one.labels)
    return found
