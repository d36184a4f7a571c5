"""``edgectl bundle``: make, quantize, verify, show and pack model bundles."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgectl.options import FAULT, AsJson

app = typer.Typer(help="Make, quantize, verify, show and pack model bundles.", no_args_is_help=True)

EdgeTpu = Annotated[bool, typer.Option("--edgetpu", help="Compile the int8 file with edgetpu_compiler too.")]
BundleArgument = Annotated[Path, typer.Argument(metavar="BUNDLE", help="A bundle's folder.")]
Packable = Annotated[Path, typer.Argument(metavar="BUNDLE", help="A bundle's folder, or a packed .edgemodel file.")]


@app.command()
def new(  # noqa: PLR0917 - one argument for each flag
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Model files of one network: .tflite or .onnx.")],
    out: Annotated[Path | None, typer.Option(help="The bundle's folder; its name by default.")] = None,
    name: Annotated[str | None, typer.Option(help="The model's name: a-z, 0-9 and -.")] = None,
    version: Annotated[str | None, typer.Option(help="As in 1.0.0.")] = None,
    license_: Annotated[str | None, typer.Option("--license", help="As in Apache-2.0.")] = None,
    description: Annotated[str | None, typer.Option(help="One line for the fleet's list.")] = None,
    decoder: Annotated[str | None, typer.Option(help="What reads the outputs: docs/reference/bundle.md.")] = None,
    task: Annotated[str | None, typer.Option(help="Only for a decoder that a package brings.")] = None,
    labels: Annotated[Path | None, typer.Option(help="A text file with one label a line.")] = None,
    min_score: Annotated[float | None, typer.Option(help="The least score that is told, 0..1.")] = None,
    nms_iou: Annotated[float | None, typer.Option(help="Above this overlap of two boxes the fainter goes.")] = None,
    activation: Annotated[str | None, typer.Option(help="softmax or sigmoid, where the file has none.")] = None,
    boxes: Annotated[str | None, typer.Option(help="pixels or fractions.")] = None,
    threshold: Annotated[float | None, typer.Option(help="Anomaly: above it a window counts as one.")] = None,
    kind: Annotated[str | None, typer.Option(help="image or window.")] = None,
    width: Annotated[int | None, typer.Option(help="Of the picture, where the file leaves it open.")] = None,
    height: Annotated[int | None, typer.Option(help="Of the picture, where the file leaves it open.")] = None,
    color: Annotated[str | None, typer.Option(help="rgb, bgr or grey.")] = None,
    fit: Annotated[str | None, typer.Option(help="stretch, letterbox or center-crop.")] = None,
    align: Annotated[str | None, typer.Option(help="Where a letterboxed picture lies: center or top-left.")] = None,
    interpolation: Annotated[str | None, typer.Option(help="As in training: nearest, linear, cubic or area.")] = None,
    mean: Annotated[
        str | None, typer.Option(help="Of 0..255 values, or of a window's: one number, or one a channel.")
    ] = None,
    std: Annotated[str | None, typer.Option(help="The same, to divide by.")] = None,
    length: Annotated[int | None, typer.Option(help="Samples in a window.")] = None,
    stride: Annotated[int | None, typer.Option(help="Samples from one window to the next.")] = None,
    channels: Annotated[int | None, typer.Option(help="Of a window.")] = None,
    steps: Annotated[str | None, typer.Option(help="Feature steps in their order, with commas between.")] = None,
    golden: Annotated[Path | None, typer.Option(help="A folder of samples; a few become golden ones.")] = None,
    as_json: AsJson = False,  # noqa: FBT002 - typer makes the flag of it
) -> None:
    """Make a bundle from model files: what they do not say is taken from flags, or asked at a terminal."""
    given = dict(locals())  # one entry a flag, by its key in model.toml
    from edgectl.bundle import make_new  # noqa: PLC0415 - each verb imports what it needs: help needs no runtime

    make_new.run(given)


@app.command()
def quantize(
    model: BundleArgument,
    calibrate: Annotated[Path, typer.Option(help="A folder of pictures or recordings from the field.")],
    out: Annotated[
        Path | None, typer.Option(help="Write a copy of the bundle there; by default the bundle itself grows.")
    ] = None,
    judge: Annotated[
        list[Path] | None, typer.Option(help="Judge this file against the float reference; write nothing.")
    ] = None,
    edgetpu: EdgeTpu = False,  # noqa: FBT002
    plot: Annotated[Path | None, typer.Option(help="The plot, a PNG; beside the bundle by default.")] = None,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Make the variants of a bundle's float files; one that does not say what the float file says is not written."""
    from edgectl.bundle import make_variants  # noqa: PLC0415

    wanted = make_variants.Wanted(model, calibrate, out, tuple(judge or ()), edgetpu, plot, as_json)
    if not make_variants.run(wanted):
        raise typer.Exit(FAULT)


@app.command()
def verify(
    model: Packable,
    samples: Annotated[
        Path | None, typer.Option(help="Judge parity by this folder, instead of the golden samples.")
    ] = None,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Check digests, golden samples and parity of every variant that this machine can run."""
    from edgectl.bundle import look  # noqa: PLC0415

    if not look.verify(model, samples, as_json=as_json):
        raise typer.Exit(FAULT)


@app.command()
def show(model: Packable, as_json: AsJson = False) -> None:  # noqa: FBT002
    """Show the manifest, and what each file is: size, digest, tensors, operators, accuracy."""
    from edgectl.bundle import look  # noqa: PLC0415

    look.show(model, as_json=as_json)


@app.command()
def pack(
    model: BundleArgument,
    out: Annotated[Path, typer.Option(help="The folder to write to.")] = Path(),
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Write a bundle as one file, NAME-VERSION.edgemodel: the same bundle gives the same bytes."""
    from edgectl.bundle import look  # noqa: PLC0415

    look.pack_bundle(model, out, as_json=as_json)
