"""The Grafana dashboard as a table: rows of panels, each with its queries. ``generate.py`` writes it as docs/grafana/edged.json."""
# ruff: noqa: INP001 - a script's part, no package

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

BOX = 'instance=~"$instance"'
RATE = "[$__rate_interval]"
WIDTH = 24
"""Grafana's grid is so wide."""
GREEN, ORANGE, RED = "green", "orange", "red"
SOURCE = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(frozen=True, slots=True)
class Query:
    """``legend`` names the series; in a table it names the column."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel, ``width`` of 24 and ``height`` grid units large. ``steps`` are (from which value, colour)."""

    title: str
    queries: tuple[Query, ...]
    about: str
    kind: str = "timeseries"
    unit: str = "short"
    width: int = 8
    height: int = 7
    steps: tuple[tuple[float, str], ...] = ()
    stacked: bool = False
    lowest: float | None = 0
    by: str = "instance"
    """What a table has a row of."""


def _one(title: str, expr: str, about: str, *steps: tuple[float, str], unit: str = "short") -> Panel:
    return Panel(title, (Query(expr),), about, "stat", unit, 4, 4, steps)


FLEET = (
    _one("Boxes", "count(edged_info)", "That answer Prometheus now."),
    _one("Failed", 'sum(edged_health{grade="failed"})', "Boxes on which nothing works.", (1, RED)),
    _one("Degraded", 'sum(edged_health{grade="degraded"})', "Boxes that work, and are not well.", (1, ORANGE)),
    _one("Without broker", "count(edged_mqtt_connected == 0) or vector(0)", "They keep what they find.", (1, ORANGE)),
    _one("Results", f"sum(rate(edged_results_total{RATE}))", "Of all boxes together.", unit="ops"),
    _one("Pipelines that run", "sum(edged_pipeline_up)", "Of all boxes together."),
    Panel(
        "Every box",
        (
            Query("edged_info", "Version"),
            Query('edged_health{grade="ok"}', "Well"),
            Query("edged_mqtt_connected", "Broker"),
            Query("edged_pressure_level", "Pressure"),
            Query("max by (instance) (edged_frame_age_seconds)", "Frame age"),
            Query("edged_spool_oldest_age_seconds", "Waiting since"),
            Query("max by (instance) (edged_temperature_celsius)", "°C"),
            Query("edged_process_resident_bytes", "Memory"),
            Query("edged_uptime_seconds", "Up"),
        ),
        "A click on a box opens it below.",
        "table",
        width=WIDTH,
        height=9,
    ),
    Panel(
        "Results a second by box",
        (Query(f"sum by (instance) (rate(edged_results_total{RATE}))", "{{instance}}"),),
        "Answers of every pipeline, the unknown ones too.",
        unit="ops",
        width=12,
    ),
    Panel(
        "Without an answer, by reason",
        (Query(f"sum by (reason) (rate(edged_results_unknown_total{RATE}))", "{{reason}}"),),
        "Of all boxes: deadline, engine-lost, source-lost …",
        unit="ops",
        width=12,
    ),
)
PIPELINES = (
    Panel(
        "Results a second",
        (Query(f"sum by (pipeline, status) (rate(edged_results_total{{{BOX}}}{RATE}))", "{{pipeline}} {{status}}"),),
        "suspect: the live self-test last failed; unknown: no answer.",
        unit="ops",
    ),
    Panel(
        "Capture to result, p95",
        (
            Query(
                f"histogram_quantile(0.95, sum by (le, pipeline) (rate(edged_frame_duration_seconds_bucket{{{BOX}}}{RATE})))",
                "{{pipeline}}",
            ),
        ),
        "What an objective's latency_ms is held against.",
        unit="s",
    ),
    Panel(
        "Where a frame's time goes",
        (
            Query(
                f"sum by (stage) (rate(edged_inference_duration_seconds_sum{{{BOX}}}{RATE}))"
                f" / sum by (stage) (rate(edged_inference_duration_seconds_count{{{BOX}}}{RATE}))",
                "{{stage}}",
            ),
        ),
        "Mean of each stage over all pipelines; age is capture to the first stage.",
        unit="s",
        stacked=True,
    ),
    Panel(
        "Age of the latest answer",
        (Query(f"edged_frame_age_seconds{{{BOX}}}", "{{pipeline}}"),),
        "Grows while a pipeline answers nothing.",
        unit="s",
    ),
    Panel(
        "Frames that no model saw",
        (
            Query(
                f"sum by (pipeline, reason) (rate(edged_frames_dropped_total{{{BOX}}}{RATE}))",
                "{{pipeline}} {{reason}}",
            ),
        ),
        "newer: another came before it was its turn.",
        unit="ops",
    ),
    Panel(
        "Events of rules",
        (Query(f"sum by (pipeline) (increase(edged_events_total{{{BOX}}}{RATE}))", "{{pipeline}}"),),
        "In each interval.",
    ),
    Panel(
        "What runs",
        (
            Query(f"edged_model_info{{{BOX}}}", "Runs"),
            Query(f"edged_pipeline_up{{{BOX}}}", "Up now"),
            Query(f"edged_source_up{{{BOX}}}", "Source"),
            Query(f"edged_worker_restarts_total{{{BOX}}}", "Restarts"),
        ),
        "The rung of each pipeline's ladder.",
        "table",
        width=WIDTH,
        height=6,
        by="pipeline",
    ),
)
BODY = (
    Panel(
        "Temperature",
        (
            Query(f"edged_temperature_celsius{{{BOX}}}", "{{sensor}} {{number}}"),
            Query(f"edged_accelerator_temperature_celsius{{{BOX}}}", "{{accelerator}} {{number}}"),
        ),
        "By sensor.",
        unit="celsius",
        lowest=None,
    ),
    Panel(
        "Pressure and held back",
        (
            Query(f"edged_pressure_level{{{BOX}}}", "pressure"),
            Query(f"edged_throttled{{{BOX}}}", "throttled"),
            Query(f"edged_under_voltage{{{BOX}}}", "under-voltage"),
        ),
        "0 calm, 1 near a limit, 2 pressed, 3 hard, 4 critical.",
    ),
    Panel(
        "Steps that the governor has taken",
        (Query(f"sum by (pipeline, kind) (edged_governor_steps{{{BOX}}})", "{{pipeline}} {{kind}}"),),
        "What a pipeline does less of, so that the box recovers.",
        stacked=True,
    ),
    Panel(
        "Memory",
        (
            Query(f"edged_process_resident_bytes{{{BOX}}}", "edged and its children"),
            Query(f"edged_memory_available_bytes{{{BOX}}}", "left on the box"),
        ),
        "edged's is resident memory, its children's included.",
        unit="bytes",
    ),
    Panel(
        "Processor",
        (Query(f"edged_process_cpu_ratio{{{BOX}}}", "edged, of one processor"), Query(f"edged_load{{{BOX}}}", "load")),
        "1 is one processor at work; load counts tasks that run or wait, of the last minute.",
    ),
    Panel(
        "Waits for the broker",
        (
            Query(f"edged_spool_depth{{{BOX}}}", "documents"),
            Query(f"edged_spool_oldest_age_seconds{{{BOX}}}", "oldest, s"),
            Query(f"rate(edged_spool_evicted_total{{{BOX}}}{RATE})", "evicted a second"),
        ),
        "What the durable queue holds.",
    ),
)
ROWS: tuple[tuple[str, Sequence[Panel]], ...] = (
    ("Fleet", FLEET),
    ("Pipelines of $instance", PIPELINES),
    ("Box $instance", BODY),
)


def dashboard() -> dict[str, Any]:
    """Give the dashboard as Grafana provisions or imports it."""
    return {
        "title": "edged",
        "uid": "edged",
        "description": "A fleet of edged boxes, and one of them in detail.",
        "tags": ["edged"],
        "schemaVersion": 39,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": _variables()},
        "panels": list(_placed()),
    }


def _variables() -> list[dict[str, Any]]:
    query = {"query": "label_values(edged_info, instance)", "refId": "instance"}
    return [
        {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"},
        {
            "name": "instance",
            "label": "Box",
            "type": "query",
            "datasource": SOURCE,
            "query": query,
            "refresh": 2,
            "sort": 1,
        },
    ]


def _placed() -> Iterator[dict[str, Any]]:
    """Give rows and panels with their places, from left to right and top to bottom."""
    number = x = y = tallest = 0
    for title, panels in ROWS:
        number, x, y, tallest = number + 1, 0, y + tallest, 0
        place = {"h": 1, "w": WIDTH, "x": 0, "y": y}
        yield {"id": number, "type": "row", "title": title, "collapsed": False, "gridPos": place, "panels": []}
        y += 1
        for panel in panels:
            if x + panel.width > WIDTH:
                x, y, tallest = 0, y + tallest, 0
            number += 1
            place = {"h": panel.height, "w": panel.width, "x": x, "y": y}
            yield {"id": number, "gridPos": place, **_drawn(panel)}
            x, tallest = x + panel.width, max(tallest, panel.height)


def _drawn(panel: Panel) -> dict[str, Any]:
    steps = [{"value": None, "color": GREEN}, *({"value": value, "color": colour} for value, colour in panel.steps)]
    defaults: dict[str, Any] = {"unit": panel.unit, "thresholds": {"mode": "absolute", "steps": steps}}
    if panel.kind == "timeseries":
        stacking = {"mode": "normal" if panel.stacked else "none"}
        defaults["custom"] = {
            "lineWidth": 1,
            "fillOpacity": 40 if panel.stacked else 8,
            "stacking": stacking,
            "showPoints": "never",
        }
        defaults |= {"min": panel.lowest} if panel.lowest is not None else {}
    drawn: dict[str, Any] = {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": SOURCE,
        "targets": [_target(panel, query, number) for number, query in enumerate(panel.queries)],
        "fieldConfig": {"defaults": defaults, "overrides": []},
    }
    return drawn | (_table(panel) if panel.kind == "table" else {"options": _options(panel)})


def _target(panel: Panel, query: Query, number: int) -> dict[str, Any]:
    target = {"refId": chr(ord("A") + number), "datasource": SOURCE, "expr": query.expr}
    if panel.kind == "table":
        return target | {"instant": True, "format": "table"}
    return target | ({"instant": True} if panel.kind == "stat" else {"legendFormat": query.legend})


def _options(panel: Panel) -> dict[str, Any]:
    if panel.kind == "stat":
        return {
            "colorMode": "background" if panel.steps else "value",
            "graphMode": "none",
            "reduceOptions": {"calcs": ["lastNotNull"]},
        }
    return {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}}


UNITS = {"Frame age": "s", "Waiting since": "s", "Memory": "bytes", "Up": "s", "°C": "celsius"}
YES_OR_NO = [
    {"type": "value", "options": {"0": {"text": "no", "color": RED}, "1": {"text": "yes", "color": GREEN}}},
]


def _table(panel: Panel) -> dict[str, Any]:
    """Join the queries by what they are about, one row each, and give the columns their names and units."""
    named = {f"Value #{chr(ord('A') + number)}": query.legend for number, query in enumerate(panel.queries)}
    # The first tells by its labels what the row is, and its value is always 1.
    numbers = range(1, len(panel.queries) + 1)
    others = [name for name in ("Time", "__name__", "job", "instance", "grade") if name != panel.by]
    hidden = ["Value #A", "sha256", *others, *(f"{name} {number}" for name in others for number in numbers)]
    fields = {"excludeByName": dict.fromkeys(hidden, True), "renameByName": named}
    units = [_override(name, "unit", UNITS[name]) for name in named.values() if name in UNITS]
    words = [
        _override(name, "mappings", YES_OR_NO)
        for name in named.values()
        if name in {"Well", "Broker", "Up now", "Source"}
    ]
    link = {"title": "Open ${__value.raw}", "url": "/d/edged?var-instance=${__value.raw}"}
    return {
        "transformations": [
            {"id": "joinByField", "options": {"byField": panel.by, "mode": "outer"}},
            {"id": "organize", "options": fields},
        ],
        "fieldConfig": {"defaults": {}, "overrides": [*units, *words, _override("instance", "links", [link])]},
        "options": {"showHeader": True, "cellHeight": "sm"},
    }


def _override(name: str, key: str, value: Any) -> dict[str, Any]:
    return {"matcher": {"id": "byName", "options": name}, "properties": [{"id": key, "value": value}]}
