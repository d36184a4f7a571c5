"""Finds the models that a recording is replayed with, and plays it through them."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from edgectl.bundle.pack import unpacked
from edgectl.hushed import hushed
from edgectl.record.places import settings
from edged.assembly.box import Box, model_folders, survey_for
from edged.assembly.clip import Clip
from edged.assembly.models import Opened, open_best
from edged.assembly.replaying import Played, play
from edged.config.faults import explain
from edged.config.schema import Config, Pipeline
from edged.domain.bundle import Bundle, WindowInput
from edged.domain.errors import BundleError, ConfigError, DeviceError
from edged.domain.result import ModelRef
from edged.hardware.clock import SystemClock
from edged.update.archive import SUFFIX as PACKED
from edged.update.manifest import find_bundles


@dataclass(frozen=True, slots=True)
class Choice:
    """A model, and the variant that has to be used; None leaves it to this machine."""

    bundle: Bundle
    variant: str | None = None
    note: str = ""
    """What is to be known of it: it is not the file that ran on the box."""


@dataclass(frozen=True, slots=True)
class Desk:
    """The machine that a recording is replayed on, and where it finds models."""

    config: Config
    box: Box
    state: Path
    """A folder of its own, which is empty: what this machine learned or keeps is no business of a recording's."""
    bundles: dict[str, tuple[Bundle, ...]]


@contextmanager
def desk(file: Path | None) -> Iterator[Desk]:
    """Look at this machine. ``file`` is a configuration: it names folders of models, and pipelines to use in place of the recorded one."""
    config = settings(file)
    stored = sorted((config.state.directory / "slots").glob("*/releases"))
    found = find_bundles([*model_folders(config), *stored]).bundles
    with tempfile.TemporaryDirectory(prefix="edged-replay-") as folder:
        state = Path(folder)
        aside = config.model_copy(update={"state": config.state.model_copy(update={"directory": state})})
        yield Desk(config, survey_for(aside), state, dict(found))


def settings_of(clip: Clip, config: Config, *, is_named: bool) -> Pipeline:
    """Give the pipeline's settings: those of a configuration that was named and has it, else those of the recording."""
    name = clip.manifest["pipeline"]
    own = next((one for one in config.pipeline if one.name == name), None) if is_named else None
    if is_named and own is None:
        known = ", ".join(one.name for one in config.pipeline) or "none"
        message = (
            f"cannot find pipeline {name!r} in the configuration: its pipelines are {known}, expected the recorded one"
        )
        raise ConfigError(message, remedy="leave --config out to use the recording's own settings")
    return own or _recorded_settings(clip)


def _recorded_settings(clip: Clip) -> Pipeline:
    told = clip.manifest["config"]["pipeline"]
    try:
        return Pipeline.model_validate(told)
    except ValidationError as error:
        path, line = next(iter(explain(error, [Pipeline], told)))
        message = f"cannot use the recorded settings of pipeline {clip.manifest['pipeline']!r}: {'.'.join(map(str, path))}: {line}"
        raise ConfigError(message, remedy="name a configuration with a pipeline of that name: --config") from error


def recorded_choice(clip: Clip, desk: Desk) -> Choice:
    """Find the model that ran on the box: the same file, or the same version and a word that the file is another."""
    ref = recorded_model(clip)
    named, changed = f"{ref.name} {ref.version}", _changed(clip, ref)
    for bundle in desk.bundles.get(ref.name, ()):
        same = [one.id for one in bundle.manifest.variant if f"sha256:{one.sha256}" == ref.digest]
        if same:
            return Choice(bundle, same[0], changed)
    for bundle in desk.bundles.get(ref.name, ()):
        if bundle.manifest.version == ref.version:
            return Choice(bundle, None, f"{named} is here, and not the file {ref.variant} that ran on the box")
    known = ", ".join(one.manifest.version for one in desk.bundles.get(ref.name, ())) or "none"
    message = (
        f"cannot replay {clip.place.name}: it was recorded with {named}, and of {ref.name} this machine has {known}"
    )
    raise BundleError(message, remedy="copy that bundle here and name it: --model FOLDER")


def recorded_model(clip: Clip) -> ModelRef:
    """Give the model that gave the most of the recorded results."""
    counts = Counter(tuple(row["model"].items()) for row in clip.results)
    if not counts:
        message = f"cannot replay {clip.place}: it holds no result, expected one at least"
        raise ConfigError(message, remedy="record for longer: after_s in [record]")
    return ModelRef(**dict(counts.most_common(1)[0][0]))


def _changed(clip: Clip, most: ModelRef) -> str:
    """Say which other models the box ran within the recording; the governor and updates change them."""
    ran = (ModelRef(**row["model"]) for row in clip.results)
    others = Counter(f"{one.name} {one.version} {one.variant}" for one in ran if one != most)
    told = ", ".join(f"{count} of {name}" for name, count in others.items())
    return f"the box changed models meanwhile: of {len(clip.results)} results {told}" if told else ""


@contextmanager
def chosen(spec: str, desk: Desk) -> Iterator[Choice]:
    """Find a model by ``NAME``, ``NAME@VERSION`` or a bundle's folder or file, each with ``:VARIANT`` behind it or not."""
    place, _, variant = spec.partition(":")
    if "/" in place or place.endswith(PACKED) or Path(place, "model.toml").is_file():
        with unpacked(Path(place)) as bundle:
            yield _with_variant(bundle, variant)
        return
    name, _, version = place.partition("@")
    known = desk.bundles.get(name, ())
    found = [one for one in known if version in {"", one.manifest.version}]
    if not found:
        there = ", ".join(f"{one.manifest.name}@{one.manifest.version}" for one in known) or ", ".join(desk.bundles)
        message = (
            f"cannot find model {place!r}: there are {there or 'none'}, expected one of them, a folder or a packed file"
        )
        raise BundleError(message, remedy="--config names the folders of models")
    yield _with_variant(found[0], variant)


def _with_variant(bundle: Bundle, variant: str) -> Choice:
    ids = [one.id for one in bundle.manifest.variant]
    if variant and variant not in ids:
        message = (
            f"cannot use variant {variant!r} of {bundle.manifest.name}: it has {', '.join(ids)}, expected one of them"
        )
        raise BundleError(message)
    return Choice(bundle, variant or None)


def alike(choice: Choice, other: Choice) -> Choice:
    """Prefer of a bundle the variant of the same name as the other model runs, where none was asked for."""
    if choice.variant is None and any(one.id == other.variant for one in choice.bundle.manifest.variant):
        return Choice(choice.bundle, other.variant, choice.note)
    return choice


def played(
    clip: Clip, choice: Choice, settings: Pipeline, desk: Desk, seen: Callable[[], None], recorded: Choice | None = None
) -> tuple[Played, str]:
    """Play a recording through a model; gives what came of it, and what is to be known of the model.

    ``recorded`` is the model that ran on the box, which says how windows follow each other.
    """
    with hushed():
        opened, note = _opened(choice, desk)
    hop = _hop(opened, recorded)
    done = play(
        clip, settings, opened, lambda name: _further(name, desk), desk.state, SystemClock(), hop=hop, seen=seen
    )
    return done, note


def _hop(opened: Opened, recorded: Choice | None) -> int | None:
    """Give how many samples lie between two recorded windows, where this model takes others; None where it takes those."""
    window, before = opened.model_input, recorded.bundle.manifest.input if recorded is not None else None
    if not isinstance(window, WindowInput) or not isinstance(before, WindowInput):
        return None
    return None if (before.length, before.stride) == (window.length, window.stride) else before.stride


def _opened(choice: Choice, desk: Desk) -> tuple[Opened, str]:
    """Open the variant that has to be used, or another where this machine cannot run it."""
    try:
        return open_best(choice.bundle, desk.box, choice.variant), choice.note
    except DeviceError:
        if choice.variant is None:
            raise
        opened = open_best(choice.bundle, desk.box)
        note = f"{choice.variant} does not run on this machine; {opened.rung.variant.id} takes its place"
        return opened, note


def _further(name: str, desk: Desk) -> Opened:
    bundles = desk.bundles.get(name, ())
    if not bundles:
        known = ", ".join(desk.bundles) or "none"
        message = f"cannot find model {name!r}, which looks closer: the bundles are {known}, expected it"
        raise BundleError(message, remedy="name its folder in [models] directories, and the file with --config")
    return open_best(bundles[0], desk.box)
