"""A drift reference for people: tables, and the figures along time as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.table import Table

from edgectl.bench_screen import DPI, console
from edged.domain.tensor import Array
from edged.pipeline.drift_learning import Learned, Row
from edged.pipeline.reference import Feature, Reference, usual_at

HOUR_S = 3600.0
BAND, LINE, ALARM, USUAL = "#bcd4ea", "#2b6cb0", "#c0392b", "#1a365d"
INCHES, INCH_A_FEATURE = 10.0, 1.7


def learned(found: Learned) -> None:
    """Show what was learned, and why the rest was not."""
    page = console()
    if found.reference is not None:
        made = _table(
            "feature", "usual", "independent sample every", "a window lasts", "knows hours", "finds 1 sd in 2 windows"
        )
        for one in found.reference.features:
            hours = one.window * one.interval_s / HOUR_S
            power = "" if one.labels else f"{100 * one.limits.power:.0f} %"
            hourly = "yes" if len(one.profile) else "no"
            made.add_row(one.name, _usual(one), f"{one.interval_s:.4g} s", f"{hours:.3g} h", hourly, power)
        page.print(made)
    for name, why in found.left_out:
        page.print(f"{name} is not watched: {why}", soft_wrap=True)


def shown(reference: Reference, rows: Sequence[Row], standing: Mapping[str, Any]) -> None:
    """Show each feature's reference beside its latest window."""
    made = _table("feature", "usual", "now", "window", "")
    for feature in reference.features:
        told = cells(feature, rows, standing)
        made.add_row(
            feature.name, _usual(feature), told["now"], told["window"], "[red]drifts[/]" if told["drifts"] else ""
        )
    page = console()
    page.print(made)
    about = ", ".join(f"{name} {value}" for name, value in reference.about.items())
    page.print(f"reference: {about or 'of the bundle'}", soft_wrap=True)


def cells(feature: Feature, rows: Sequence[Row], standing: Mapping[str, Any]) -> dict[str, Any]:
    """Give what is told of a feature, JSON-ready."""
    told = standing.get(feature.name, {})
    return {
        "name": feature.name,
        "usual": _usual(feature),
        "now": _now(feature, rows),
        "window": f"{len(told.get('values', ()))} of {feature.window}",
        "votes": told.get("votes", []),
        "drifts": bool(told.get("drifts", False)),
        "stability_limit": feature.limits.stability,
        "rise_limit": feature.limits.rise,
    }


def picture(file: Path, pipeline: str, reference: Reference, rows: Sequence[Row], standing: Mapping[str, Any]) -> None:
    """Draw each feature of numbers along time: the reference's band, means of the figures, and in red the latest windows of what drifts."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter  # noqa: PLC0415 - a second to load
    from matplotlib.figure import Figure as Canvas  # noqa: PLC0415 - as above

    features = [one for one in reference.features if not one.labels]
    canvas = Canvas(figsize=(INCHES, 1.0 + INCH_A_FEATURE * len(features)), dpi=DPI, layout="constrained")
    drawn = canvas.subplots(len(features), 1, sharex=True, squeeze=False)[:, 0]
    for axes, feature in zip(drawn, features, strict=True):
        _draw(axes, feature, rows, standing.get(feature.name, {}))
    locator: Any = AutoDateLocator()  # type: ignore[no-untyped-call] # matplotlib's own
    drawn[-1].xaxis.set_major_locator(locator)
    drawn[-1].xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call] # as above
    drawn[-1].set_xlabel("UTC")
    canvas.suptitle(f"{pipeline}: figures against what is normal (band: 5 to 95 % of the reference)", fontsize=11)
    canvas.savefig(file)


def _draw(axes: Any, feature: Feature, rows: Sequence[Row], told: Mapping[str, Any]) -> None:
    walls_s, values = _series(feature, rows)
    axes.set_ylabel(feature.name, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    if not len(values):
        return
    when = [datetime.fromtimestamp(wall_s, timezone.utc) for wall_s in walls_s]
    usual = usual_at(walls_s, feature.profile) if len(feature.profile) else np.zeros(len(values))
    low, middle, high = (usual + feature.quantiles[place] for place in (0, 2, 4))
    axes.fill_between(when, low, high, color=BAND, linewidth=0)
    axes.plot(when, middle, color=USUAL, linewidth=0.8, linestyle=":")
    axes.plot(when, values, color=LINE, linewidth=0.9)
    if told.get("drifts"):
        # The windows that the alarm rests on, and what came since.
        begin_s = (told["first_s"] or walls_s[-1]) - len(told["votes"]) * feature.window * feature.interval_s
        since = int(np.searchsorted(walls_s, begin_s))
        axes.plot(when[since:], values[since:], color=ALARM, linewidth=1.1)
        axes.annotate("drifts", (1.0, 0.9), xycoords="axes fraction", ha="right", color=ALARM, fontsize=9)


def _series(feature: Feature, rows: Sequence[Row]) -> tuple[Array, Array]:
    """Give times and values, as means of so many samples that some 800 points are left."""
    pairs = [(row.wall_s, float(row.traits[feature.name])) for row in rows if feature.name in row.traits]
    if not pairs:
        return np.empty(0), np.empty(0)
    both = np.array(pairs)
    each = max(1, len(both) // 800)
    means = both[: len(both) // each * each].reshape(-1, each, 2).mean(axis=1)
    return means[:, 0], means[:, 1]


def _table(*columns: str) -> Table:
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        made.add_column(name)
    return made


def _usual(feature: Feature) -> str:
    if feature.labels:
        best = sorted(zip(feature.labels, feature.shares, strict=False), key=lambda pair: -pair[1])[:3]
        return ", ".join(f"{label} {100 * share:.0f} %" for label, share in best)
    middle = float(feature.profile.mean()) if len(feature.profile) else 0.0
    return f"{feature.mean + middle:.4g} ± {feature.scale:.3g}"


def _now(feature: Feature, rows: Sequence[Row]) -> str:
    """Tell the latest window's time as ``_usual`` tells the reference: a number without what its hours differ from the day's mean."""
    last_s = rows[-1].wall_s if rows else 0.0
    recent = [
        row for row in rows if feature.name in row.traits and row.wall_s > last_s - feature.window * feature.interval_s
    ]
    if not recent:
        return ""
    latest = [row.traits[feature.name] for row in recent]
    if feature.labels:
        counts = {label: latest.count(label) for label in dict.fromkeys(latest)}
        best = sorted(counts.items(), key=lambda pair: -pair[1])[:3]
        return ", ".join(f"{label} {100 * count / len(latest):.0f} %" for label, count in best)
    values = np.array(latest, np.float64)
    if len(feature.profile):
        values -= usual_at(np.array([row.wall_s for row in recent]), feature.profile) - feature.profile.mean()
    return f"{values.mean():.4g} ± {values.std():.3g}"
