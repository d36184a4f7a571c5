"""Every fault of the configuration, the bundles and the devices that it names, at once, for ``edged check``."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from edged.assembly import sensors
from edged.assembly.admitting import Admitting
from edged.assembly.box import Box, model_folders, survey_for
from edged.assembly.check_actions import DIALOUT, PORTS, action_faults, action_files, device_faults
from edged.assembly.check_models import misfits
from edged.assembly.lines import opener
from edged.assembly.opening import Opening
from edged.assembly.passed_over import expected_folders
from edged.assembly.state import LOCK, is_held
from edged.config import schema
from edged.config.faults import nearest
from edged.config.load import Fault, RejectedConfigError, load, read_whole
from edged.config.placed import plain
from edged.config.plugins import brought
from edged.config.schema import Config
from edged.domain.bundle import Bundle
from edged.domain.errors import ConfigError, EdgedError
from edged.hardware.clock import SystemClock
from edged.update.manifest import Catalogue, find_bundles, verify

CREDENTIALS = Path("/run/credentials/edged")
"""Where the drop-in credentials.conf puts what systemd hands over."""


@dataclass(frozen=True, slots=True)
class Report:
    """``configuration`` faults are the operator's text; ``faults`` are of bundles, devices and files that it names.

    ``unfit`` are of pipelines that the memory has no room for now, ``relative`` the paths that count from where edged is started.
    """

    configuration: tuple[Fault, ...]
    faults: tuple[Fault, ...]
    files: tuple[Path, ...]
    unfit: tuple[Fault, ...] = ()
    relative: tuple[str, ...] = ()

    @property
    def is_wrong(self) -> bool:
        """Whether something that was asked for cannot be run as it stands there."""
        return bool(self.configuration or self.unfit)

    def lines(self) -> Iterator[str]:
        """Give a line for each fault, or one that says that there is none."""
        faults = (*self.configuration, *self.unfit, *self.faults)
        yield from map(str, faults)
        if not faults:
            yield f"ok: {', '.join(map(str, self.files))}"
        if self.relative:
            yield f"note: {', '.join(self.relative)}: looked for from {Path.cwd()} on, as edged does from the folder that it is started in"

    def document(self) -> dict[str, Any]:
        """Give the same as ``edged.check/1``."""
        faults = [(fault, "configuration") for fault in self.configuration]
        faults += [(fault, "box") for fault in (*self.unfit, *self.faults)]
        return {
            "schema": "edged.check/1",
            "ok": not faults,
            "files": [str(file) for file in self.files],
            "relative": list(self.relative),
            "faults": [
                {
                    "of": of,
                    "file": str(fault.file),
                    "key": fault.key,
                    "message": fault.message,
                    "pipeline": fault.pipeline,
                }
                for fault, of in faults
            ],
        }


def check_all(file: Path) -> Report:
    """Read the configuration and look at everything that it names; nothing is opened for long, and nothing stays changed."""
    try:
        loaded = load(file)
    except RejectedConfigError as error:
        if error.rest is None:
            return Report(error.faults, (), (file,))
        loaded = error.rest
    config = loaded.config
    box, profile_faults = _survey(config, file)
    own = (*loaded.faults, *profile_faults, *_kinds(config, file))
    faults, unfit = tuple(_box_faults(config, box, file)), tuple(_unfit(config, box, file))
    return Report(own, faults, loaded.files, unfit, tuple(_relative(config, file)))


def _relative(config: Config, file: Path) -> list[str]:
    """Give the paths that are not written from the root on, and so are taken from the folder that edged is started in."""
    whole, _, _ = read_whole(file)
    taken = {leaf for leaf in _leaves(config.model_dump()) if isinstance(leaf, Path)}
    written = {leaf for leaf in _leaves(plain(whole)) if isinstance(leaf, str) and not leaf.startswith("/")}
    return sorted(text for text in written if Path(text).absolute() in taken)


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list | tuple):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _leaves(part)
    else:
        yield value


def _survey(config: Config, file: Path) -> tuple[Box | None, tuple[Fault, ...]]:
    """Look at the box; a profile that is no profile is a fault like any other, and leaves the ladders unjudged."""
    try:
        return survey_for(config), ()
    except ConfigError as error:
        return None, (Fault(file, "device.profile", str(error)),)


def _kinds(config: Config, file: Path) -> Iterator[Fault]:
    for source in config.source:
        try:
            opener(source, SystemClock())
        except ConfigError as error:
            yield Fault(file, f"source.{source.name}.kind", str(error))
    for sink in config.sink:
        known = brought("edged.sinks")
        if sink.kind not in known:
            message = f"cannot find sink {sink.kind!r} among what installed packages bring: {nearest(sink.kind, known)}"
            yield Fault(file, f"sink.{sink.name}.kind", message)


def _unfit(config: Config, box: Box | None, file: Path) -> Iterator[Fault]:
    """Sum up the memory as the daemon does before it loads anything; one that runs has done so, and takes its part of what is there."""
    if box is None or _may_run(config.state.directory):
        return
    for name, reason in Admitting(box, SystemClock())(config).items():
        yield Fault(file, f"pipeline.{name}", f"{reason.message}; {reason.remedy}", name)


def _may_run(state: Path) -> bool:
    try:
        return is_held(state / LOCK)
    except OSError:
        return True


def _box_faults(config: Config, box: Box | None, file: Path) -> Iterator[Fault]:
    catalogue = find_bundles(model_folders(config))
    for refused in catalogue.refused:
        yield from (Fault(refused.folder, "", line) for line in refused.faults)
    # A daemon that runs tells in its health what does not open, and needs its memory.
    opening = Opening(box, tries=not _may_run(config.state.directory)) if box is not None else None
    for pipeline in config.pipeline:
        yield from _model_faults(pipeline, catalogue, opening, file)
        yield from _misfits(pipeline, config, catalogue, file)
    for source in config.source:
        yield from _source_faults(source, file)
    yield from _remote_faults(config, catalogue, file)
    for action in config.action:
        yield from action_faults(action, file)
    yield from _path_faults(config, file)


def _model_faults(
    pipeline: schema.Pipeline, catalogue: Catalogue, opening: Opening | None, file: Path
) -> Iterator[Fault]:
    key = f"pipeline.{pipeline.name}.model"
    bundles: tuple[Bundle, ...] = catalogue.bundles.get(pipeline.model, ())
    if not bundles:
        known = ", ".join(catalogue.bundles) or "none"
        yield Fault(file, key, f"cannot find model {pipeline.model!r}, expected one of {known}", pipeline.name)
        return
    faults = verify(bundles[0])
    yield from (Fault(bundles[0].folder, "", line, pipeline.name) for line in faults)
    ids = [variant.id for variant in bundles[0].manifest.variant]
    if pipeline.pin is not None and pipeline.pin not in ids:
        message = f"cannot pin variant {pipeline.pin!r}, expected one of {', '.join(ids)}"
        yield Fault(file, f"pipeline.{pipeline.name}.pin", message, pipeline.name)
        return
    if opening is None:
        return
    found = opening.ladder(bundles[0], pipeline.pin, pipeline.objective)
    for variant, why in () if faults else opening.misfits(bundles[0]).items():
        yield Fault(bundles[0].folder, f"variant.{variant}", why, pipeline.name)
    if not found.runnable:
        first = next((rung for rung in found.rungs if rung.variant.id == pipeline.pin), found.rungs[0])
        why = f"every variant is refused, {first.variant.id} since: {first.reason}"
        message = f"cannot run {pipeline.model!r} on this box: {why}; run: edged explain {pipeline.model}"
        yield Fault(file, key, message, pipeline.name)


def _misfits(pipeline: schema.Pipeline, config: Config, catalogue: Catalogue, file: Path) -> Iterator[Fault]:
    """Tell what its models cannot answer, and what is wrong with those of its cascades."""
    found = {name: bundles[0] for name, bundles in catalogue.bundles.items()}
    if pipeline.model not in found:
        return
    for cascade in pipeline.then:
        if (further := found.get(cascade.model)) is not None:
            yield from (Fault(further.folder, "", line, pipeline.name) for line in verify(further))
    source = next((one for one in config.source if one.name == pipeline.source), None)
    for key, message in misfits(pipeline, source, found):
        yield Fault(file, f"pipeline.{pipeline.name}.{key}", message, pipeline.name)


def _remote_faults(config: Config, catalogue: Catalogue, file: Path) -> Iterator[Fault]:
    """Tell of servers for models that no pipeline runs, and for variants that there are not."""
    used = {pipeline.model for pipeline in config.pipeline}
    for model, remote in config.remote.items():
        if model not in used:
            yield Fault(file, f"remote.{model}", f"cannot use it: no pipeline runs this model; {nearest(model, used)}")
        ids = [one.id for bundle in catalogue.bundles.get(model, ())[:1] for one in bundle.manifest.variant]
        if remote.variant is not None and ids and remote.variant not in ids:
            message = f"cannot stand for variant {remote.variant!r}, expected one of {', '.join(ids)}"
            yield Fault(file, f"remote.{model}.variant", message)


def _source_faults(source: schema.Source, file: Path) -> Iterator[Fault]:
    key = f"source.{source.name}"
    if isinstance(source, schema.ImagesSource | schema.FileSource | schema.CsvSource | schema.WavSource):
        place = source.path if not any(c in str(source.path) for c in "*?[") else source.path.parent
        if not _is_there(place):
            yield Fault(file, f"{key}.path", f"cannot find {place}, expected a file or folder")
        else:
            yield from _unreadable(source, f"{key}.path", file)
    if isinstance(source, schema.CameraSource) and source.url.startswith("/"):
        yield from device_faults(Path(source.url), f"{key}.url", file, like="/dev/video*", group="video")
    if isinstance(source, schema.SystemSource):
        readings = sensors.box_readings(Path("/"))
        for unknown in sorted(set(source.columns) - readings.keys()):
            wanted = ", ".join(sorted(readings))
            yield Fault(file, f"{key}.columns", f"cannot read {unknown!r} of this box, expected one of {wanted}")
    if isinstance(source, schema.SerialSource):
        # By its id, a port stays the same one wherever it is plugged in, unlike /dev/ttyUSB0.
        yield from device_faults(source.port, f"{key}.port", file, like=PORTS, group=DIALOUT)


def _unreadable(source: schema.Source, key: str, file: Path) -> Iterator[Fault]:
    """Open files as the source will: without pictures, columns or frames there is nothing to run on."""
    try:
        opener(source, SystemClock())().close()
    except EdgedError as error:
        yield Fault(file, key, str(error))


def _sources(config: Config) -> Iterator[Any]:
    """Give the sources, and the parts of joined ones."""
    for source in config.source:
        yield from source.part if isinstance(source, schema.JoinSource) else [source]


def _path_faults(config: Config, file: Path) -> Iterator[Fault]:
    named: list[tuple[str, Path | None]] = [("mqtt.password_file", config.mqtt.password_file)]
    if config.mqtt.tls:
        tls = config.mqtt.tls
        named += [("mqtt.tls.ca", tls.ca), ("mqtt.tls.cert", tls.cert), ("mqtt.tls.key", tls.key)]
    named += [
        (f"source.{source.name}.password_file", source.password_file)
        for source in _sources(config)
        if isinstance(source, schema.CameraSource | schema.TopicSource)
    ]
    named += _servers_files(config)
    named += action_files(config.action)
    for key, path in named:
        # A credential is there for the unit alone, while it runs; the unit does not start without.
        is_elsewhere = path is not None and path.is_relative_to(CREDENTIALS) and not CREDENTIALS.is_dir()
        if path is not None and not is_elsewhere and not (os.access(path, os.R_OK) and path.is_file()):
            yield Fault(file, key, f"cannot read {path}, expected a file that edged may read")
    for folder in expected_folders(config):
        if not folder.is_dir():
            yield Fault(file, "models.directories", f"cannot read {folder}, expected a folder of bundles")
    yield from _tls_faults(config.mqtt.tls or schema.Tls(), file)
    yield from _state_faults(config.state.directory, file)


def _servers_files(config: Config) -> Iterator[tuple[str, Path | None]]:
    """Give the files of those who ask the box, and whom it asks: tokens and certificates."""
    for name, listener in (("http", config.http), ("grpc", config.grpc)):
        if listener is not None:
            yield f"{name}.token_file", listener.token_file
            yield f"{name}.read_token_file", listener.read_token_file
    for model, remote in config.remote.items():
        yield f"remote.{model}.token_file", remote.token_file
        yield f"remote.{model}.ca", remote.ca
    if config.tracing is not None:
        yield "tracing.token_file", config.tracing.token_file


def _tls_faults(tls: schema.Tls, file: Path) -> Iterator[Fault]:
    """Take the files as a connection will; one that is not there is told already."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if tls.ca is not None and tls.ca.is_file():
            context.load_verify_locations(tls.ca)
    except OSError as error:
        yield Fault(file, "mqtt.tls.ca", f"cannot use {tls.ca}: {_why(error)}, expected certificates in PEM")
    try:
        if tls.cert is not None and tls.key is not None and tls.cert.is_file() and tls.key.is_file():
            context.load_cert_chain(tls.cert, tls.key, password="")
    except OSError as error:
        message = f"cannot use {tls.cert} with {tls.key}: {_why(error)}, expected a certificate and its key in PEM"
        yield Fault(file, "mqtt.tls.cert", message)


def _why(error: OSError) -> str:
    reason = getattr(error, "reason", None) or error.strerror or str(error)
    return str(reason).lower().replace("_", " ")


def _state_faults(state: Path, file: Path) -> Iterator[Fault]:
    """Make, beside where it would be made, what of the state directory is missing, and take it away again.

    Whether a folder takes one is not always in its permissions: root may write to /proc, and nothing can be made there.
    """
    existing = next(place for place in (state, *state.parents) if _is_there(place))
    try:
        with TemporaryDirectory(prefix=".edged-check-", dir=existing) as beside:
            (Path(beside) / state.relative_to(existing)).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"cannot write to {existing}: {error.strerror}, expected a folder that edged may write"
        yield Fault(file, "state.directory", message)


def _is_there(place: Path) -> bool:
    """Tell without an error, also below a folder that edged must not look into."""
    return os.access(place, os.F_OK)
