"""Measures the ways to run a bundle one after the other, in the foreground, and keeps what may be kept."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from edgectl.bench_rows import Row, accuracy_words, with_choice
from edged.assembly.bench import measure
from edged.assembly.box import Box, ladder, survey_for
from edged.assembly.figures_store import FiguresStore
from edged.assembly.jobs import Job, candidates, feel, name_of, record
from edged.assembly.state import LOCK, is_held
from edged.config.schema import Config, Objective
from edged.control.benchmark import Effort, Outcome, Run, Unfit, disturbed_share, judge, summary
from edged.control.figures import HERE, to_document
from edged.control.pace import pause_s
from edged.domain.bundle import Bundle
from edged.domain.figures import Figures, Measured, Subject
from edged.fleet.topics import rfc3339
from edged.hardware.clock import SystemClock
from edged.hardware.readings import Readings, read

POLITE_SHARE = 0.25
"""Beside a daemon: of the time so much is spent measuring, on what its pipelines leave over."""
TELLING_SHARE = 0.2
"""From so many disturbed calls on it is said."""

Told = Callable[[str, int, int], None]
"""Called before each candidate with its name, its number and how many there are."""


@dataclass(frozen=True, slots=True)
class Bench:
    """Where figures are kept, and how is measured."""

    box: Box
    store: FiguresStore
    state: Path
    effort: Effort
    polite: bool


@dataclass(frozen=True, slots=True)
class Result:
    """One bundle, measured."""

    bundle: Bundle
    rows: tuple[Row, ...]
    subjects: dict[tuple[str, str, str], Subject]
    measured: tuple[Measured, ...]


def prepare(config: Config, seconds: float, keep_in: Path | None = None) -> Bench:
    """Look at the box, and find a place for figures: the daemon's state directory where it may be written, else the user's."""
    state = keep_in or _state(config.state.directory)
    store = FiguresStore(state)
    effort = Effort(measure_s=seconds, max_runs=1000)
    return Bench(replace(survey_for(config), store=store), store, state, effort, is_running(config.state.directory))


def is_running(state: Path) -> bool:
    """Whether a daemon uses this state directory: it holds the lock then."""
    try:
        return is_held(state / LOCK)
    except OSError:
        # The service's state is closed to others: it may well run, and being polite costs only time.
        return True


def bench(bundle: Bundle, made: Bench, threads: Sequence[int], objective: Objective, told: Told) -> Result:
    """Measure every way to run the bundle here, whether it was measured before or not."""
    found = [one for one in candidates(bundle, made.box) if not threads or one.threads in threads]
    rows, measured = [], []
    for number, candidate in enumerate(found, 1):
        job = Job(candidate, bundle)
        told(name_of(job), number, len(found))
        outcome = measure(job.order(polite=made.polite), made.effort, _rest(made.polite))
        figures, note = _learned(job, outcome, made.store)
        if figures is not None:
            measured.append(Measured(candidate.subject, (figures,), HERE, rfc3339(SystemClock().wall_ns())))
        rows.append(_row(job, figures, note))
    chosen = ladder(bundle, made.box, None, objective)
    subjects = {(bundle.manifest.name, one.variant, one.subject.accelerator): one.subject for one in found}
    refused = [
        _refused(bundle, rung.variant.id, rung.accelerator, rung.reason)
        for rung in chosen.rungs
        if rung.verdict == "refused"
    ]
    others = [
        row for row in refused if not any((row.variant, row.accelerator) == (x.variant, x.accelerator) for x in rows)
    ]
    return Result(bundle, (*with_choice(rows, chosen), *others), subjects, tuple(measured))


def document(results: Sequence[Result], made: Bench, before: Readings, after: Readings) -> dict[str, Any]:
    """Write a run: it is a file of figures as ``edged explain --figures`` and a bundle take it, with what people want besides."""
    measured = [one for result in results for one in result.measured]
    return {
        **to_document(measured),
        "at": rfc3339(SystemClock().wall_ns()),
        "profile": made.box.profile.name,
        "beside_a_daemon": made.polite,
        "before": felt(before),
        "after": felt(after),
        "rows": [row.document() for result in results for row in result.rows],
    }


def felt(readings: Readings) -> dict[str, Any]:
    """Write how the box felt; None is unknown."""
    return {
        "hottest_c": readings.hottest_c,
        "headroom_c": readings.headroom_c,
        "throttled": readings.throttled,
        "under_voltage": readings.under_voltage,
        "frequency_cap": readings.cpu_frequency_cap,
        "load_1m": readings.load_1m,
        "cpu_pressure": None if readings.cpu_pressure is None else asdict(readings.cpu_pressure),
    }


def readings_now() -> Readings:
    """Read how the box feels."""
    return read(Path("/"))


def _state(wanted: Path) -> Path:
    if os.access(wanted, os.W_OK) or (not wanted.exists() and os.access(_nearest(wanted), os.W_OK)):
        return wanted
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "edged"


def _nearest(folder: Path) -> Path:
    return next(parent for parent in (folder, *folder.parents) if parent.exists())


def _rest(polite: bool) -> Callable[[float], bool]:  # noqa: FBT001 - named by its only argument
    def rest(busy_s: float) -> bool:
        if polite:
            time.sleep(pause_s(busy_s, POLITE_SHARE))
        return True

    return rest


def _learned(job: Job, outcome: Outcome, store: FiguresStore) -> tuple[Figures | None, str]:
    """Keep what may be kept; give figures, also those that are only good enough to be looked at, and what to know of them."""
    clock = SystemClock()
    if isinstance(outcome, Unfit):
        record(store, job, outcome, clock)
        return None, outcome.reason
    if not isinstance(outcome, Run):
        return None, outcome.reason
    result = judge(outcome, job.candidate.threads, feel())
    if not isinstance(result, Figures):
        return (
            (summary(outcome, job.candidate.threads), f"not kept: {result.reason}")
            if outcome.samples
            else (None, result.reason)
        )
    record(store, job, result, clock)
    disturbed = disturbed_share(outcome.samples)
    return result, f"{disturbed:.0%} of the calls were disturbed and left out" if disturbed >= TELLING_SHARE else ""


def _row(job: Job, figures: Figures | None, note: str) -> Row:
    one, bundle = job.candidate, job.bundle
    accuracy = accuracy_words(bundle, one.variant)
    subject = one.subject
    return Row(
        bundle.manifest.name,
        one.variant,
        subject.runtime,
        subject.accelerator,
        one.threads,
        accuracy,
        figures,
        note=note,
    )


def _refused(bundle: Bundle, variant: str, accelerator: str, reason: str) -> Row:
    runtime = next(one.runtime for one in bundle.manifest.variant if one.id == variant)
    accuracy = accuracy_words(bundle, variant)
    return Row(bundle.manifest.name, variant, runtime, accelerator, 0, accuracy, None, note=f"refused: {reason}")
