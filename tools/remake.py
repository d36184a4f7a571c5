"""Make the shipped models again in build/models, and say how far the result is from the files in models/.

Called by ``make models``. Each bundle's recipe runs on a copy of models/ from which the made files are left out; nothing in models/
changes. The status is 1 when a file was not made, or does not say what the float file in models/ says, and 2 when nothing could be run.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from edgectl.bundle.judge import answers, judge, reference_of
from edgectl.bundle.parity import SAME_PLACE
from edgectl.bundle.samples import read_samples
from edgectl.bundle.terminal import print_line, print_table
from edged.assembly.models import read_labels
from edged.domain.bundle import Bundle, Variant
from edged.domain.errors import ConfigError, EdgedError
from edged.domain.result import Anomaly, Classes, Detection, Detections, Output
from edged.pipeline.postprocess.agree import iou
from edged.update.manifest import MANIFEST, read_bundle

MODELS, BUILD = Path("models"), Path("build/models")
OLDEST = (3, 11)
"""Of Python: litert-torch's wheels go no further back."""
LEFT_OUT = ("__pycache__", "*.tflite", "*.onnx", MANIFEST)
"""What a recipe must make itself: a file that it does not write shall be missing, not be the old one."""
COLUMNS = ("file", "bytes", "bytes again", "is", "a score differs by", "parity", "accuracy", "accuracy again")


@dataclass(frozen=True, slots=True)
class Line:
    """One variant, as it lies in models/ and as it was made again.

    ``difference`` is the worst of any score on the golden samples, 0.0 where file and manifest are the same; None where it was not
    made or does not run. ``parity`` is how far it says what the float file in models/ says, 0..1; None where that needed no asking.
    """

    file: str
    bytes_kept: int
    bytes_made: int | None = None
    is_same: bool = False
    difference: float | None = None
    parity: float | None = None
    accuracy_kept: float | None = None
    accuracy_made: float | None = None
    fault: str = ""

    def cells(self) -> tuple[object, ...]:
        """Give the row of the table, under ``COLUMNS``."""
        state = "not made" if self.bytes_made is None else "same bytes" if self.is_same else "other bytes"
        figures = [_told(one, ".3f") for one in (self.parity, self.accuracy_kept, self.accuracy_made)]
        sizes = (self.bytes_kept, "" if self.bytes_made is None else self.bytes_made)
        return (self.file, *sizes, state, _told(self.difference, ".2g"), *figures)


def main() -> int:
    """Make again, compare, print."""
    wanted = arguments()
    python = wanted.venv / "bin" / "python" if wanted.venv else make_environment(wanted.python)
    work = BUILD / "work"
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(MODELS, work / MODELS.name, ignore=shutil.ignore_patterns(*LEFT_OUT))
    failed = [name for name in wanted.bundles if not ran(name, python, work)]
    lines = [line for name in wanted.bundles for line in compare(MODELS / name, work / MODELS.name / name)]
    print_table(COLUMNS, [line.cells() for line in lines])
    for fault in [f"{name}: its recipe failed" for name in failed] + [line.fault for line in lines if line.fault]:
        print_line(f"fault: {fault}")
    return 1 if failed or any(line.fault for line in lines) else 0


def arguments() -> argparse.Namespace:
    """Read the command line: ``bundles``, ``python`` and ``venv``."""
    known = sorted(place.parent.name for place in MODELS.glob("*/recipe.py"))
    parser = argparse.ArgumentParser(description="Make the shipped models again and compare them.")
    parser.add_argument("bundles", nargs="*", metavar="BUNDLE", help=f"of {', '.join(known)}; all by default")
    parser.add_argument("--python", default=sys.executable, help="makes the virtual environment")
    parser.add_argument("--venv", type=Path, help="a virtual environment that has edged[models], used as it is")
    given = parser.parse_args()
    unknown = [name for name in given.bundles if name not in known]
    if unknown:
        refuse(f"cannot make {', '.join(unknown)} again: no such bundle, expected some of {', '.join(known)}")
    if given.venv and not (given.venv / "bin" / "python").exists():
        refuse(
            f"cannot use {given.venv}: it has no bin/python, expected a virtual environment; leave VENV_MODELS out to have one made"
        )
    given.bundles = given.bundles or known
    return given


# -- making


def make_environment(python: str) -> Path:
    """Make build/models/venv, or bring it to what pyproject.toml asks for; gives its Python."""
    venv = BUILD / "venv"
    own = venv / "bin" / "python"
    if not own.exists():
        code = f"import sys, venv; sys.exit(sys.version_info < {OLDEST})"
        if shutil.which(python) is None or subprocess.run([python, "-c", code], check=False).returncode:
            wanted = ".".join(map(str, OLDEST))
            refuse(
                f"cannot make the models again with {python}: expected Python {wanted} or newer with venv; name it with PYTHON="
            )
        run([python, "-m", "venv", str(venv)])
    pip = [str(own), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run([*pip, "-c", str(MODELS / "constraints.txt"), ".[models]"])
    return own


def ran(name: str, python: Path, work: Path) -> bool:
    """Run a bundle's recipe in the copy, its words on this terminal; False when it failed."""
    way = ["-m", f"models.{name}.recipe"] if name.isidentifier() else [f"models/{name}/recipe.py"]
    print(f"{name}: {' '.join(way)}", flush=True)
    environment = {**os.environ, "PYTHONPATH": str(work.resolve()), "PYTHONDONTWRITEBYTECODE": "1"}
    # Absolute, but not resolved: where its link leads there is no virtual environment.
    return not subprocess.run([str(python.absolute()), *way], cwd=work, env=environment, check=False).returncode


def run(command: list[str]) -> None:
    """Run a command, or end with its words."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        refuse(f"cannot run {' '.join(command[:4])}: status {done.returncode}: {(done.stdout + done.stderr)[-2000:]}")


def refuse(message: str) -> NoReturn:
    """End before anything was compared."""
    print(message, file=sys.stderr)
    raise SystemExit(2)


# -- comparing


def compare(kept: Path, made: Path) -> list[Line]:
    """Hold each variant of the bundle ``made`` against that of the same id in the bundle ``kept``.

    Raises:
        EdgedError: ``kept`` cannot be read.
    """
    wanted = read_bundle(kept)
    try:
        bundle = read_bundle(made)
    except EdgedError as error:
        return [_absent(wanted, variant, str(error)) for variant in wanted.manifest.variant]
    return [_line(wanted, variant, bundle) for variant in wanted.manifest.variant]


def difference(one: Output, other: Output) -> float:
    """Give the worst difference of a score between two answers; what only one of them tells counts with its whole score.

    Raises:
        ConfigError: They are of a task that no shipped model has.
    """
    if isinstance(one, Anomaly) and isinstance(other, Anomaly):
        return abs(one.score - other.score)
    if isinstance(one, Classes) and isinstance(other, Classes):
        ours, theirs = ({item.label: item.score for item in answer.items} for answer in (one, other))
        return max((abs(ours.get(label, 0.0) - theirs.get(label, 0.0)) for label in {*ours, *theirs}), default=0.0)
    if isinstance(one, Detections) and isinstance(other, Detections):
        ways = ((one, other), (other, one))
        return max((_apart(item, theirs.items) for ours, theirs in ways for item in ours.items), default=0.0)
    message = (
        f"cannot compare {type(one).__name__} with {type(other).__name__}: expected classes, detections or anomalies"
    )
    raise ConfigError(message)


def _apart(item: Detection, others: Sequence[Detection]) -> float:
    same = (other for other in others if other.label == item.label and iou(other, item) >= SAME_PLACE)
    return min((abs(other.score - item.score) for other in same), default=item.score)


def _line(kept: Bundle, variant: Variant, made: Bundle) -> Line:
    again = next((one for one in made.manifest.variant if one.id == variant.id), None)
    if again is None or not made.path_of(again).is_file():
        return _absent(kept, variant, "its recipe did not write it")
    files = kept.path_of(variant), made.path_of(again)
    line = Line(
        _name(kept, variant),
        files[0].stat().st_size,
        files[1].stat().st_size,
        is_same=files[0].read_bytes() == files[1].read_bytes(),
        difference=0.0,
        accuracy_kept=_accuracy(variant),
        accuracy_made=_accuracy(again),
    )
    ends = [(bundle.input_of(one), bundle.output_of(one)) for bundle, one in ((kept, variant), (made, again))]
    return line if line.is_same and ends[0] == ends[1] else _answered(line, kept, variant, made, again)


def _answered(line: Line, kept: Bundle, variant: Variant, made: Bundle, again: Variant) -> Line:
    """Ask both about the golden samples in models/, each through its own manifest, and judge the made one by the float file there."""
    golden = kept.golden_of(variant)
    folder = kept.folder / (golden.samples if golden else "golden")
    try:
        samples = read_samples(folder, kept.input_of(variant), read_labels(kept, variant))
        verdict = judge(made, again, answers(kept, reference_of(kept, variant), samples), samples)
        if verdict.parity is None:  # it does not run
            return replace(line, difference=None, fault=f"{line.file}: {verdict.fault}")
        before, after = (answers(bundle, one, samples) for bundle, one in ((kept, variant), (made, again)))
        worst = max(map(difference, before.outputs, after.outputs))
    except EdgedError as error:
        return replace(line, difference=None, fault=f"{line.file}: {error}")
    fault = f"{line.file}: {verdict.fault}" if verdict.fault else ""
    return replace(line, difference=worst, parity=verdict.parity.agreement, fault=fault)


def _absent(kept: Bundle, variant: Variant, why: str) -> Line:
    name, size = _name(kept, variant), kept.path_of(variant).stat().st_size
    return Line(name, size, accuracy_kept=_accuracy(variant), fault=f"{name}: it was not made: {why}")


def _accuracy(variant: Variant) -> float | None:
    return variant.accuracy.value if variant.accuracy else None


def _name(kept: Bundle, variant: Variant) -> str:
    return f"{kept.folder.name}/{variant.file}"


def _told(figure: float | None, form: str) -> str:
    return "" if figure is None else format(figure, form)


if __name__ == "__main__":
    raise SystemExit(main())
