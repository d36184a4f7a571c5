"""A bundle thought out: every key of its manifest, and where each value is from."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from edgectl.bundle import decoders, inputs
from edgectl.bundle.facts import Facts
from edgectl.bundle.inputs import Guess
from edgectl.bundle.interview import Answer, Ask, Interview
from edged.config.faults import explain
from edged.domain.bundle import ImageInput, OutputSpec, Part, WindowInput
from edged.domain.errors import ConfigError

IMAGE_KEYS = ("width", "height", "color", "fit", "align", "pad", "interpolation", "mean", "std")
WINDOW_KEYS = ("length", "stride", "channels", "steps", "mean", "std")
LABELS = "labels.txt"
_PartT = TypeVar("_PartT", bound=Part)
_APACHE = re.compile(r"apache.{0,40}2\.0", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Draft:
    """A bundle that is thought out and not yet written."""

    tables: Mapping[str, Mapping[str, Any]]
    variants: tuple[tuple[Path, Mapping[str, Any]], ...]
    labels: tuple[str, ...]
    answers: tuple[Answer, ...]

    @property
    def name(self) -> str:
        """The bundle's name."""
        return str(self.tables[""]["name"])


def draft(files: Sequence[Facts], given: Mapping[str, Any], labels: Sequence[str], ask: Ask | None) -> Draft:
    """Think a bundle out.

    Args:
        files: Files of the same network; the first says most.
        given: The user's flags by key; None where one was not given.
        labels: The user's own labels; empty: those in the files.
        ask: Asks a person; None where nobody is there.

    Raises:
        ConfigError: What cannot be told from the files was not given, all of it at once.
        BundleError: No decoder takes the outputs.
    """
    first, talk = files[0], Interview(given, ask)
    written = first.inside.written
    head = {
        "name": talk.settle("name", Guess(_slug(written.name or first.file.stem), "the file's name", is_sure=False)),
        "version": talk.settle("version", Guess("1.0.0", "the first", is_sure=False)),
        "license": talk.settle("license", _license(written.license)),
        "description": talk.settle("description", Guess(written.description, "the file's metadata", is_sure=True)),
    }
    table = _input(first, talk)
    output, task, names = _output(first, talk, table, tuple(labels) or written.labels)
    if talk.missing:
        flags = ", ".join(f"--{key.replace('_', '-')}" for key in talk.missing)
        message = f"cannot make a bundle of {first.file.name}: it does not say {', '.join(talk.missing)}, expected flags for it"
        raise ConfigError(message, remedy=f"give {flags}, or run it at a terminal to be asked")
    head = {"name": head["name"], "version": head["version"], "task": task, **head}
    tables = {"": {key: value for key, value in head.items() if value}, "input": table, "output": output}
    variants = tuple((facts.file, _variant(facts, files)) for facts in files)
    return Draft(tables, variants, names, tuple(talk.answers.values()))


def _input(first: Facts, talk: Interview) -> dict[str, Any]:
    kind = talk.settle("kind", inputs.kind(first))
    fitting = ("image", "window") if len(first.inputs[0].shape) == len("NHWC") else ("window",)
    if kind not in fitting:
        message = f"cannot use --kind {kind}: the input is {first.inputs[0].shape}, expected {' or '.join(fitting)}"
        raise ConfigError(message)
    if kind == "image":
        found = inputs.image(first)
        table = {key: talk.settle(key, found.get(key)) for key in ("width", "height")}
        usual = {**inputs.habits(_decoder_name(first, talk, table)), **found}
        keys = (key for key in IMAGE_KEYS if key not in table)
    else:
        channels = talk.settle("channels", _window_guess(first, None, "channels"))
        table = {"channels": channels}
        usual = inputs.window(first, channels)
        length = talk.settle("length", usual["length"])
        usual["stride"] = Guess(max(int(length or 2) // 2, 1), "half a window", is_sure=False)
        table["length"] = length
        keys = (key for key in WINDOW_KEYS if key not in table)
    table |= {key: talk.settle(key, usual.get(key), needed=key in usual) for key in keys}
    order = IMAGE_KEYS if kind == "image" else WINDOW_KEYS
    return {"kind": kind, **{key: table[key] for key in order if table.get(key) is not None}}


def _window_guess(first: Facts, channels: int | None, key: str) -> Guess:
    return inputs.window(first, channels)[key]


def _decoder_name(first: Facts, talk: Interview, table: Mapping[str, Any]) -> str:
    """Give the decoder as far as it can be told before the rest of the input is settled, which depends on it."""
    if talk.lacks_shape():
        return ""
    found = decoders.find(
        first, ImageInput(kind="image", width=table["width"], height=table["height"], color=_color(first))
    )
    return talk.settle("decoder", _decoder_guess(found)) or ""


def _color(first: Facts) -> Any:
    guess = inputs.image(first).get("color")
    return guess.value if guess else "rgb"


def _decoder_guess(found: decoders.Found | None) -> Guess | None:
    return Guess(found.decoder, found.why, is_sure=found.is_sure) if found else None


def _output(
    first: Facts, talk: Interview, table: Mapping[str, Any], labels: Sequence[str]
) -> tuple[dict[str, Any], str, tuple[str, ...]]:
    if talk.lacks_shape():
        return {}, "", ()
    model_input = _checked(ImageInput, table) if table["kind"] == "image" else _checked(WindowInput, table)
    found = decoders.find(first, model_input)
    known = talk.answers.get("decoder")
    decoder = known.value if known else talk.settle("decoder", _decoder_guess(found))
    task = next((row.task for row in decoders.ROWS if row.decoder == decoder), None)
    task = talk.settle("task", Guess(task, f"decoder {decoder}", is_sure=True) if task else None)
    output: dict[str, Any] = {"decoder": decoder}
    turned = decoders.activation(first, decoder)
    guesses = {"activation": Guess(*turned, is_sure=False) if turned else None}
    if decoder == "reconstruction":
        output["threshold"] = talk.settle("threshold")
    if first.inside.written.min_score:
        guesses["min_score"] = Guess(first.inside.written.min_score, "the file's metadata", is_sure=True)
    for key in ("activation", "min_score", "nms_iou", "boxes"):
        value = talk.settle(key, guesses.get(key), needed=False)
        if value is not None:
            output[key] = value
    names = _labels(first, talk, model_input, output, labels)
    if names:
        output = {"decoder": decoder, "labels": LABELS, **output}
    return output, task or "", names


def _checked(kind: type[_PartT], table: Mapping[str, Any]) -> _PartT:
    """Build a part of a manifest. Raises ConfigError, which names the flags, where a value is none that it takes."""
    try:
        return kind(**table)
    except ValidationError as error:
        faults = [f"--{path[0]}: {line}" if path else line for path, line in explain(error, [kind], table)]
        message = f"cannot make a bundle: {'; '.join(faults)}"
        raise ConfigError(message, remedy="docs/reference/bundle.md tells what each key takes") from error


def _labels(
    first: Facts,
    talk: Interview,
    model_input: ImageInput | WindowInput,
    output: Mapping[str, Any],
    labels: Sequence[str],
) -> tuple[str, ...]:
    """Take the labels that the decoder takes; the user's own are taken in any case, so that what is wrong with them is told."""
    if not labels or talk.missing:
        return ()
    embedded = tuple(labels) == first.inside.written.labels
    if embedded and not decoders.binds(first, model_input, _checked(OutputSpec, output), labels):
        return ()
    talk.settle(
        "labels", Guess(f"{len(labels)} names", "the file's metadata" if embedded else "--labels", is_sure=True)
    )
    return tuple(labels)


def _variant(facts: Facts, files: Sequence[Facts]) -> dict[str, Any]:
    precision = facts.inside.precision
    alike = [one for one in files if (one.runtime, one.inside.precision) == (facts.runtime, precision)]
    number = f"-{alike.index(facts) + 1}" if len(alike) > 1 else ""
    return {
        "id": f"{facts.runtime}-{precision}{number}",
        "file": facts.file.name,
        "sha256": facts.sha256,
        "runtime": facts.runtime,
        "accelerators": ["cpu"],
        "precision": precision,
        "layout": layout_of(facts),
    }


def layout_of(facts: Facts) -> str:
    """Give the axis order of a file's own input."""
    table = inputs.image(facts) if inputs.kind(facts).value == "image" else inputs.window(facts, None)
    return str(table["layout"].value)


def _license(text: str) -> Guess | None:
    if not text:
        return None
    return Guess("Apache-2.0" if _APACHE.search(text) else text, "the file's metadata", is_sure=True)


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:64] or "model"
