"""What the demo shows: a table that updates in place, or plain lines where nobody could see it move; a summary at the end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edged.demo.watch import Watcher

STAGES = ("age", "preprocess", "inference", "postprocess", "total")


def live(watcher: Watcher, where: str) -> RenderableType:
    """Draw what is known now."""
    table = Table(title=where, title_justify="left", expand=True)
    for name, style in (
        ("pipeline", "bold"),
        ("model", ""),
        ("results", ""),
        ("rate", ""),
        ("latency", ""),
        ("answer", "cyan"),
    ):
        table.add_column(name, style=style, justify="right" if name in {"results", "rate", "latency"} else "left")
    for name, seen in sorted(watcher.pipelines.items()):
        model = seen.last["model"]
        table.add_row(
            name,
            f"{model['name']} {model['variant']} ({model['accelerator']})",
            str(seen.results),
            f"{seen.rate_hz:.1f}/s",
            f"{sum(seen.last['latency_ms'].values()):.1f} ms",
            answer(seen.last),
        )
    events = Table(title="events", title_justify="left", expand=True, show_header=False, box=None)
    for event in reversed(list(watcher.events)):  # a copy: more may come meanwhile
        events.add_row(Text(event["phase"], style=_style(event)), event_line(event))
    return Group(table, events)


def answer(document: dict[str, Any]) -> str:
    """Say in a few words what a result or an event saw."""
    if "anomaly" in document:
        anomaly = document["anomaly"]
        return f"{'ANOMALY' if anomaly['is_anomaly'] else 'normal'}, score {anomaly['score']:.3f} of {anomaly['threshold']:.3f}"
    if "detections" in document:
        return (
            ", ".join(f"{item['label']} {item['score']:.2f}" for item in document["detections"][:4]) or "nothing there"
        )
    if "classes" in document:
        return ", ".join(f"{item['label']} {item['score']:.2f}" for item in document["classes"][:2])
    for key, words in (("keypoints", _pose), ("values", _values), ("mask", _mask)):
        if key in document:
            return words(document[key]) or "nothing there"
    return f"unknown: {document.get('reason')}"


def _pose(points: list[dict[str, Any]]) -> str:
    return ", ".join(f"{point['label']} {point['score']:.2f}" for point in points[:4])


def _values(values: list[dict[str, Any]]) -> str:
    return ", ".join(f"{value['label']} {value['value']:.4g}" for value in values[:4])


def _mask(mask: dict[str, Any]) -> str:
    return ", ".join(f"{segment['label']} {segment['share']:.0%}" for segment in mask["segments"][:4])


def event_line(event: dict[str, Any]) -> str:
    """Give one line for an event."""
    lasted = f", {event['duration_s']:.1f} s" if event["phase"] != "start" else ""
    return f"{event['since'][11:19]}  {event['pipeline']}: {event['rule']} {event['phase']}{lasted}  ({answer(event)})"


def _style(event: dict[str, Any]) -> str:
    return {"start": "bold yellow", "ongoing": "yellow", "end": "green"}[event["phase"]]


def status_lines(watcher: Watcher) -> Iterator[str]:
    """Give a plain line a pipeline."""
    for name, seen in sorted(watcher.pipelines.items()):
        yield f"{name}: {seen.results} results, {seen.rate_hz:.1f}/s, {answer(seen.last)}"


def summary(watcher: Watcher) -> RenderableType:
    """Draw what the whole run came to, from the daemon's last telemetry and health."""
    told = sorted(watcher.telemetry.get("pipelines", {}).items())
    counts = _titled("summary", "pipeline", "frames", "results", "events", "dropped")
    latency = _titled("latency, p50 / p99 ms", "pipeline", *STAGES)
    for name, pipeline in told:
        drops = ", ".join(f"{count} {cause}" for cause, count in pipeline["drops"].items() if count) or "none"
        events = str(watcher.event_count.get(name, 0))
        counts.add_row(name, str(pipeline["frames"]), str(pipeline["results"]), events, drops)
        latency.add_row(name, *(_pair(pipeline["latency_ms"][stage]) for stage in STAGES))
    reasons = [f"{one['component']}: {one['message']}; {one['remedy']}" for one in watcher.health.get("reasons", ())]
    return Group(counts, latency, *(Text(reason, style="red") for reason in reasons))


def _titled(title: str, *names: str) -> Table:
    table = Table(title=title, title_justify="left")
    for name in names:
        table.add_column(name, justify="left" if name in {"pipeline", "dropped"} else "right")
    return table


def _pair(stage: dict[str, float | None]) -> str:
    if stage["p50"] is None or stage["p99"] is None:
        return "-"
    return f"{stage['p50']:.2f} / {stage['p99']:.2f}"
