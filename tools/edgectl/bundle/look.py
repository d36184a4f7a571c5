"""``edgectl bundle verify``, ``show`` and ``pack`` at the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgectl.bundle import terminal
from edgectl.bundle.check import check
from edgectl.bundle.facts import read_facts
from edgectl.bundle.pack import pack, unpacked
from edgectl.plain import print_json
from edged.domain.bundle import Bundle, Variant
from edged.domain.errors import EdgedError
from edged.update.manifest import read_bundle, sha256_of


def verify(place: Path, samples: Path | None, *, as_json: bool) -> bool:
    """Tell every fault of a bundle; False when there is one."""
    with unpacked(place) as bundle, terminal.progress(quiet=as_json) as tell:
        report = check(bundle, samples, tell)
    if as_json:
        print_json(report.document())
        return not report.faults
    rows = [(line.id, line.state, line.golden, line.parity, line.fault) for line in report.lines]
    terminal.print_table(("variant", "state", "golden", "parity", "why"), rows, f"{report.name} {report.version}")
    for fault in report.faults:
        terminal.print_line(f"fault: {fault}")
    terminal.print_line("ok" if not report.faults else f"{len(report.faults)} faults")
    return not report.faults


def show(place: Path, *, as_json: bool) -> None:
    """Tell what a bundle holds."""
    with unpacked(place) as bundle:
        document = _shown(bundle)
    if as_json:
        print_json(document)
        return
    manifest = document["manifest"]
    terminal.print_line(f"{manifest['name']} {manifest['version']}: {manifest['task']}, {manifest['license']}")
    if manifest.get("description"):
        terminal.print_line(manifest["description"])
    terminal.print_line(f"input: {_words(manifest['input'])}")
    terminal.print_line(f"output: {_words(manifest['output'])}")
    variants = document["variants"]
    terminal.print_table(("variant", "file", "kB", "sha256", "accuracy"), [_row(variant) for variant in variants])
    for variant in variants:
        terminal.print_line(f"{variant['id']}: {_inside(variant)}")


def pack_bundle(place: Path, folder: Path, *, as_json: bool) -> None:
    """Write one file, and tell its digest: what a fleet's order names."""
    file = pack(read_bundle(place), folder)
    digest = sha256_of(file)
    if as_json:
        size = file.stat().st_size
        print_json({"schema": "edgectl.bundle.pack/1", "file": str(file), "bytes": size, "sha256": digest})
    else:
        terminal.print_line(f"{file} {digest}")


def _shown(bundle: Bundle) -> dict[str, Any]:
    manifest = bundle.manifest.model_dump(mode="json", exclude_none=True, exclude={"variant"})
    variants = [_variant(bundle, variant) for variant in bundle.manifest.variant]
    return {"schema": "edgectl.bundle.show/1", "manifest": manifest, "variants": variants}


def _variant(bundle: Bundle, variant: Variant) -> dict[str, Any]:
    """Give the manifest's words and the file's own; a file that does not open here still has a size and a reason."""
    told = variant.model_dump(mode="json", exclude_none=True)
    file = bundle.path_of(variant)
    try:
        return {**told, **_own(read_facts(file).document()), "fault": ""}
    except EdgedError as error:
        size = file.stat().st_size if file.is_file() else None
        return {**told, "bytes": size, "inputs": [], "outputs": [], "operators": {}, "fault": str(error)}


def _own(document: dict[str, Any]) -> dict[str, Any]:
    """Leave out what the manifest says with more weight."""
    return {key: value for key, value in document.items() if key not in {"runtime", "sha256", "precision"}}


def _row(variant: dict[str, Any]) -> tuple[object, ...]:
    figure = variant.get("accuracy")
    accuracy = f"{figure['metric']} {figure['value']:.3f}" if figure else ""
    size = f"{variant['bytes'] / 1e3:.0f}" if variant["bytes"] is not None else ""
    return variant["id"], variant["file"], size, variant["sha256"][:12], accuracy


def _inside(variant: dict[str, Any]) -> str:
    if variant["fault"]:
        return str(variant["fault"])
    inputs, outputs = (", ".join(_tensor(spec) for spec in variant[side]) for side in ("inputs", "outputs"))
    operators = ", ".join(f"{name} {count}" for name, count in variant["operators"].items())
    return f"{inputs} -> {outputs}; {operators}"


def _tensor(spec: dict[str, Any]) -> str:
    scale = spec["quantization"]
    quantised = f" q({scale['scale']:.4g}, {scale['zero_point']})" if scale else ""
    return f"{'x'.join('?' if size < 0 else str(size) for size in spec['shape'])} {spec['dtype']}{quantised}"


def _words(table: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in table.items())
