"""The page of one box: why it is not well, each pipeline with all its figures, models, and what happened."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.text import Text

from edgectl.fleet.view import Device
from edgectl.watch.boxes import Happening, hottest_c, listed, model_of, number, rung_of, table
from edgectl.watch.columns import milliseconds, short
from edgectl.watch.page import INSIDE_KEYS, STYLES, TROUBLE, event_line, fitted

EVENTS = 12
STAGES = {"age": "age", "preprocess": "pre", "inference": "inf", "postprocess": "post", "total": "total"}
"""As short as a line of 80 needs them."""


def box_page(
    device: Device, happenings: Sequence[Happening], scrolled: int, size: tuple[int, int], head: Text
) -> list[Text]:
    """Give the page's lines, from the one that it is scrolled to."""
    width, height = size
    whole = [fitted(line, width) for line in told(device, happenings, width)]
    room = max(1, height - 2)
    first = max(0, min(scrolled, len(whole) - room))
    shown = whole[first : first + room]
    shown += [Text("")] * (room - len(shown))
    below = len(whole) - first - room
    keys = Text(INSIDE_KEYS + (f"  {below} more below" if below > 0 else ""), style="dim")
    return [fitted(head, width), *shown, fitted(keys, width)][:height]


def told(device: Device, happenings: Sequence[Happening], width: int) -> Iterator[Text]:
    """Give all that is known of a box."""
    yield from _about(device)
    yield from _reasons(device)
    figures = table(device.documents.get("telemetry", {}).get("pipelines"))
    about = {
        str(table(one).get("name")): table(one) for one in listed(device.documents.get("inventory", {}), "pipelines")
    }
    for name in sorted({*figures, *about}):
        yield from _pipeline(device, name, table(figures.get(name)), about.get(name, {}))
    yield from _models(device)
    if happenings:
        yield Text("latest (UTC)", style="bold")
        yield from (event_line(one, width, with_box=False) for one in happenings[:EVENTS])


def _about(device: Device) -> Iterator[Text]:
    telemetry = device.documents.get("telemetry", {})
    governor, process = table(telemetry.get("governor")), table(telemetry.get("process"))
    outbox, readings = table(telemetry.get("outbox")), table(telemetry.get("readings"))
    state = device.health if device.is_online else "offline"
    line = Text()
    line.append(f"{device.name} ", style="bold")
    line.append(state, style=STYLES.get(state, TROUBLE))
    line.append(f"  profile {device.profile}")
    version = table(device.documents.get("inventory", {}).get("versions")).get("edged")
    line.append(f"  edged {version}" if version else "")
    yield line
    heat = hottest_c(telemetry)
    parts = [
        f"pressure {governor.get('level')}" if governor else "",
        f"{heat:.0f} °C" if heat is not None else "",
        _megabytes("memory", number(process.get("memory_mb"))),
        _megabytes("free", number(readings.get("memory_available_mb"))),
        f"outbox {outbox.get('pending')} waiting" if outbox else "",
    ]
    yield Text("  " + ", ".join(part for part in parts if part))


def _megabytes(word: str, value: float | None) -> str:
    return f"{word} {value:.0f} MiB" if value is not None else ""


def _reasons(device: Device) -> Iterator[Text]:
    for reason in (table(one) for one in listed(device.documents.get("health", {}), "reasons")):
        line = Text()
        line.append(f"  {reason.get('code', '')} ", style="yellow")
        line.append(f"{reason.get('component', '')}: {reason.get('message', '')}")
        yield line
        if reason.get("remedy"):
            yield Text(f"    → {reason['remedy']}", style="cyan")


def _pipeline(device: Device, name: str, figure: Mapping[str, Any], about: Mapping[str, Any]) -> Iterator[Text]:
    line = Text()
    line.append(f"{name} ", style="bold")
    line.append(
        f"{figure.get('state', 'unknown')}, source {figure.get('source', '?')} {figure.get('source_state', '')}"
    )
    yield line
    model = model_of(device, str(about.get("model", "")))
    yield Text(
        f"  {model or 'no model'}, rung {rung_of(device, name, about) or '-'}, {short(number(figure.get('rate_hz')))}/s"
    )
    governed = table(about.get("governor"))
    if governed:
        yield Text(f"  does less ({governed.get('level')}): {governed.get('reason')}", style="yellow")
    latency = table(figure.get("latency_ms"))
    stages = [f"{word} {_both(table(latency.get(stage)))}" for stage, word in STAGES.items() if stage in latency]
    yield Text(f"  ms p50/p99: {', '.join(stages) or '-'}")
    drops = {cause: number(count) for cause, count in table(figure.get("drops")).items() if count}
    counts = [
        f"{short(number(figure.get(key)))} {key}"
        for key in ("results", "unknown", "events", "restarts")
        if key in figure
    ]
    lost = ", ".join(f"{cause} {short(count)}" for cause, count in drops.items()) or "none"
    yield Text(f"  {', '.join(counts)}; dropped: {lost}")


def _both(stage: Mapping[str, Any]) -> str:
    return f"{milliseconds(number(stage.get('p50')))}/{milliseconds(number(stage.get('p99')))}"


def _models(device: Device) -> Iterator[Text]:
    found = device.models()
    if found:
        yield Text("models", style="bold")
    for one in found:
        previous, wanted = table(one.get("previous")).get("version"), table(one.get("desired")).get("version")
        parts = [
            str(one.get("state", "")),
            f"before {previous}" if previous else "",
            f"ordered {wanted}" if wanted else "",
            f"{len(listed(one, 'quarantined'))} quarantined" if listed(one, "quarantined") else "",
        ]
        yield Text(f"  {model_of(device, str(one.get('name')))} ({', '.join(part for part in parts if part)})")
