"""What a pipeline asks of its models that they cannot answer: it would run all the same, and never say it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from edged.assembly.models import read_labels
from edged.config import schema
from edged.config.faults import nearest
from edged.domain.bundle import Bundle, ImageInput, WindowInput
from edged.domain.errors import BundleError
from edged.pipeline.postprocess.keypoints import COCO

PICTURES = (schema.CameraSource, schema.FileSource, schema.ImagesSource)
Misfit = tuple[str, str]
"""A key below the pipeline's, and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A key, whether it is used, and the tasks of the models that answer it."""

    key: str
    is_used: Callable[[Any], bool]
    tasks: tuple[str, ...]


OF_A_PIPELINE = (
    Asked("track", lambda pipeline: pipeline.track, ("detection",)),
    Asked("then", lambda pipeline: bool(pipeline.then), ("detection",)),
)
OF_A_RULE = (
    Asked("zone", lambda when: when.zone is not None, ("detection", "keypoints")),
    Asked("anomaly", lambda when: when.anomaly is not None, ("anomaly",)),
    Asked("min_score", lambda when: when.min_score is not None, ("classification", "detection", "keypoints")),
    Asked("min_value", lambda when: when.min_value is not None, ("anomaly", "regression", "segmentation")),
    Asked("max_value", lambda when: when.max_value is not None, ("anomaly", "regression", "segmentation")),
)


def misfits(pipeline: schema.Pipeline, source: schema.Source | None, found: Mapping[str, Bundle]) -> Iterator[Misfit]:
    """Hold a pipeline against the bundles by name; its own is among them. Without a source nothing is said of that."""
    bundle = found[pipeline.model]
    if source is not None:
        yield from _of_the_source(pipeline, source, bundle)
    yield from _of_the_task("", OF_A_PIPELINE, pipeline, bundle)
    if pipeline.calibrate_s is not None and bundle.manifest.calibration is None:
        yield (
            "calibrate_s",
            f"cannot calibrate {pipeline.model!r}: it learns nothing on site, expected a model that does",
        )
    for cascade in pipeline.then:
        yield from _of_a_cascade(cascade, bundle, found)
    for rule in pipeline.rule:
        yield from _of_a_rule(f"rule.{rule.name}.when", rule.when, bundle, found)


def _of_the_source(pipeline: schema.Pipeline, source: schema.Source, bundle: Bundle) -> Iterator[Misfit]:
    is_picture = isinstance(source, PICTURES)
    if isinstance(source, schema.PluginSource):
        return
    inputs = _inputs(bundle)
    fitting = [one for one in inputs if isinstance(one, ImageInput) == is_picture]
    if not fitting:
        given, wanted = ("pictures", "samples") if is_picture else ("samples", "pictures")
        yield (
            "model",
            f"cannot give {given} of {source.name!r} to {bundle.manifest.name!r}, expected a source of {wanted}",
        )
    channels = {one.channels for one in fitting if isinstance(one, WindowInput)}
    if channels and (width := _width(source)) not in channels:
        wanted = " or ".join(map(str, sorted(channels)))
        yield "model", f"cannot give {width} channels of {source.name!r} to {bundle.manifest.name!r}, expected {wanted}"
    for rule in pipeline.rule:
        if rule.snapshot != "none" and not is_picture:
            yield (
                f"rule.{rule.name}.snapshot",
                f"cannot take pictures of {source.name!r}, expected a source of pictures",
            )


def _of_a_cascade(cascade: schema.Cascade, first: Bundle, found: Mapping[str, Bundle]) -> Iterator[Misfit]:
    yield from _of_a_label(f"then.{cascade.model}.on.label", cascade.on.label, first)
    further = found.get(cascade.model)
    if further is None:
        yield f"then.{cascade.model}", f"cannot find model {cascade.model!r}: {nearest(cascade.model, found)}"
    elif not any(isinstance(one, ImageInput) for one in _inputs(further)):
        yield f"then.{cascade.model}", f"cannot show pictures to {cascade.model!r}, expected a model of pictures"


def _of_a_rule(key: str, when: schema.When, bundle: Bundle, found: Mapping[str, Bundle]) -> Iterator[Misfit]:
    yield from _of_the_task(f"{key}.", OF_A_RULE, when, bundle)
    yield from _of_a_label(f"{key}.label", when.label, bundle)
    if when.then is not None and when.then.model in found:
        yield from _of_a_label(f"{key}.then.label", when.then.label, found[when.then.model])


def _of_the_task(prefix: str, asked: tuple[Asked, ...], of: Any, bundle: Bundle) -> Iterator[Misfit]:
    task = bundle.manifest.task
    for one in asked:
        if one.is_used(of) and task not in one.tasks:
            wanted = " or ".join(one.tasks)
            yield (
                f"{prefix}{one.key}",
                f"cannot ask {bundle.manifest.name!r} for it: its task is {task}, expected {wanted}",
            )


def _of_a_label(key: str, label: str | None, bundle: Bundle) -> Iterator[Misfit]:
    known = _labels(bundle)
    if label is not None and known and label not in known:
        yield key, f"cannot find label {label!r} among those of {bundle.manifest.name!r}: {nearest(label, known)}"


def _labels(bundle: Bundle) -> frozenset[str]:
    """Give what the model can name; empty where nothing says it."""
    labels: set[str] = set()
    for variant in bundle.manifest.variant:
        with suppress(BundleError):  # told of the bundle itself
            labels |= {*read_labels(bundle, variant)}
    return frozenset(labels or (COCO if bundle.manifest.task == "keypoints" else ()))


def _inputs(bundle: Bundle) -> list[ImageInput | WindowInput]:
    return [bundle.input_of(variant) for variant in bundle.manifest.variant]


def _width(source: Any) -> int:
    if isinstance(source, schema.JoinSource):
        return sum(_width(part) for part in source.part)
    return len(source.channels if isinstance(source, schema.WavSource | schema.MicrophoneSource) else source.columns)
