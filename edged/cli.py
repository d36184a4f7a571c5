"""The program ``edged``: one function a verb.

Exit status: 0 done; 1 it ran and found or met a fault; 2 the request itself is wrong (usage, configuration); 75 safe mode is over.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from edged.domain.errors import BundleError, ConfigError, DeviceError, EdgedError
from edged.hardware.libraries import SURROUNDINGS
from edged.telemetry import logs

CONFIG = Path("/etc/edged/edged.toml")
DONE, FAULT, WRONG_REQUEST = 0, 1, 2
AGAIN = 75
"""Safe mode is over, and the whole daemon shall be started: EX_TEMPFAIL of sysexits.h, "try again later"."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a verb and give the exit status; every error is one line on standard error."""
    for name, value in SURROUNDINGS.items():
        os.environ.setdefault(name, value)
    given = _parser().parse_args(arguments)
    verb: Callable[[argparse.Namespace], int] = given.verb
    try:
        return verb(given)
    except ConfigError as error:
        return _complain(error, WRONG_REQUEST)
    except EdgedError as error:
        return _complain(error, FAULT)
    except BrokenPipeError:
        # Whoever read the output has seen enough.
        sys.stderr.close()
        return DONE
    except KeyboardInterrupt:
        return FAULT


def run(given: argparse.Namespace) -> int:
    """The daemon, in the foreground; SIGTERM stops it, SIGHUP reloads."""
    reloads, stops = _note_signals()
    from edged.assembly.again import start_again  # noqa: PLC0415 - each verb imports what it needs: a listing needs no runtime
    from edged.assembly.journal import journal_handler  # noqa: PLC0415
    from edged.assembly.safe import TRY_AGAIN_S, safe_mode  # noqa: PLC0415
    from edged.assembly.state import Lock  # noqa: PLC0415
    from edged.assembly.wiring import build_daemon, load_or_fall_back  # noqa: PLC0415

    logs.set_up(given.log_level.upper(), journal=journal_handler(sys.stderr))
    # What hangs or crashes in native code leaves the stack of every thread in the log: the watchdog ends it with SIGABRT.
    faulthandler.enable()
    loaded, fallen_back = load_or_fall_back(given.config)
    for fault in loaded.faults:
        print(f"edged: {fault}", file=sys.stderr)
    lock = Lock(loaded.config.state.directory)
    try:
        why_safe = safe_mode(os.environ, time.monotonic_ns()) if given.safe else None
        daemon = build_daemon(given.config, loaded, fallen_back, why_safe)
        signals = _obey_signals(daemon)
        if reloads:
            daemon.reload()
        if stops:
            daemon.stop()
        if given.safe:
            _after(TRY_AGAIN_S, daemon.stop)
        daemon.run()
    finally:
        lock.release()
    if daemon.starts_again and not given.safe:
        # A configuration that cannot be read by then does not say where the last good one is kept.
        start_again({"STATE_DIRECTORY": str(loaded.config.state.directory), **os.environ})
    return AGAIN if given.safe and not signals else DONE


def demo(given: argparse.Namespace) -> int:
    """The main job on one machine with nothing else installed."""
    from edged.assembly.adapters import adapter  # noqa: PLC0415

    status: int = adapter("edged.demo.show", "demo").show(given.seconds, given.broker)
    return status


def check(given: argparse.Namespace) -> int:
    """Tell every fault of the configuration and of what it names, at once."""
    from edged.assembly.check import check_all  # noqa: PLC0415

    report = check_all(given.config)
    _say(_json(report.document()) if given.json else "\n".join(report.lines()))
    if report.is_wrong:
        return WRONG_REQUEST
    return FAULT if report.faults else DONE


def hardware(given: argparse.Namespace) -> int:
    """Tell what is there, by which evidence, what is missing and why."""
    from edged.assembly.box import survey_for  # noqa: PLC0415
    from edged.assembly.texts import hardware_text  # noqa: PLC0415
    from edged.hardware.inventory import to_document  # noqa: PLC0415

    box = survey_for(_config(given), _sysroot(given))
    compiling = box.engines.compiling
    idle = compiling.idle() if compiling is not None else ()
    document = to_document(box.inventory, box.profile.name, box.runtimes, idle)
    _show(given, document, hardware_text)
    return DONE


def explain(given: argparse.Namespace) -> int:
    """Tell every variant of a model: chosen, possible or refused, and why."""
    from edged.assembly.explain import explained  # noqa: PLC0415
    from edged.assembly.texts import ladder_text  # noqa: PLC0415

    config = _config(given)
    document = explained(_bundle(given.model, config), config, _sysroot(given), given.figures, given.objective)
    _show(given, document, ladder_text)
    runnable = any(rung["verdict"] != "refused" for rung in document["variants"])
    return DONE if runnable else FAULT


def models(given: argparse.Namespace) -> int:
    """Tell which models are installed, active, previous and quarantined."""
    from edged.assembly.installed import models_document  # noqa: PLC0415
    from edged.assembly.texts import models_text  # noqa: PLC0415

    document = models_document(_config(given))
    _show(given, document, models_text)
    return FAULT if document["refused"] else DONE


def _note_signals() -> tuple[Sequence[int], Sequence[int]]:
    """Keep each SIGHUP until the daemon stands, and end on a SIGTERM with 0: by themselves both would kill the process.

    There is nothing to stop in order as long as nothing runs, and the imports alone take half a second.
    """
    reloads: list[int] = []
    stops: list[int] = []

    def stop(number: int, _frame: object) -> None:
        # Noted too, since an exception is lost in a destructor that happens to run.
        stops.append(number)
        raise SystemExit(DONE)

    signal.signal(signal.SIGHUP, lambda number, _: reloads.append(number))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    return reloads, stops


def _obey_signals(daemon: Any) -> Sequence[int]:
    """Let the service manager and Ctrl-C stop and reload the daemon; gives a list of the signals that stopped it."""
    stopped_by: list[int] = []

    def stop(number: int, _frame: object) -> None:
        stopped_by.append(number)
        daemon.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    signal.signal(signal.SIGHUP, lambda *_: daemon.reload())
    return stopped_by


def _after(seconds: float, act: Callable[[], None]) -> None:
    timer = threading.Timer(seconds, act)
    # It must not keep the process from ending before its time.
    timer.daemon = True
    timer.start()


def _bundle(model: str, config: Any) -> Any:
    """Find a bundle by name, or by the path of its folder."""
    from edged.assembly.box import model_folders  # noqa: PLC0415
    from edged.update.manifest import find_bundles, read_bundle  # noqa: PLC0415

    if "/" in model:
        return read_bundle(Path(model))
    catalogue = find_bundles(model_folders(config))
    if model in catalogue.bundles:
        return catalogue.bundles[model][0]
    for refused in catalogue.refused:
        if refused.folder.name == model:
            raise refused
    known = ", ".join(catalogue.bundles) or "none"
    message = f"cannot find model {model!r}: the bundles are {known}, expected one of them or a folder"
    raise BundleError(message, remedy="edged models lists them")


def _config(given: argparse.Namespace) -> Any:
    """Read the configuration that was named, or the usual one where there is one."""
    from edged.config.load import load  # noqa: PLC0415

    return load(given.config or CONFIG, required=given.config is not None, named=False).config


def _sysroot(given: argparse.Namespace) -> Path:
    root: Path = given.sysroot
    if not root.is_dir():
        message = f"cannot look at sysroot {root}: it is no folder, expected the root of a machine's files"
        raise ConfigError(message)
    return root


def _show(given: argparse.Namespace, document: dict[str, Any], text: Callable[[dict[str, Any]], str]) -> None:
    _say(_json(document) if given.json else text(document))


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False)


def _say(text: str) -> None:
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # the name of a file may be no text
    try:
        print(text, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        # Python would try to write the rest once more at its end, and say so in its own way.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        message = f"cannot write the answer: {error.strerror}, expected a place that takes it"
        raise DeviceError(message) from error


def _complain(error: EdgedError, status: int) -> int:
    print(f"edged: {' '.join(str(error).split())}", file=sys.stderr)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="edged", description="Runs models on cameras and sensors, and reports over MQTT."
    )
    parser.add_argument("--version", action=_TellVersion, nargs=0, help="the version, and nothing else")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    for name, verb, text, options in VERBS:
        one = verbs.add_parser(name, help=text, description=verb.__doc__)
        one.set_defaults(verb=verb)
        for flags, settings in options:
            one.add_argument(*flags, **settings)
    return parser


class _TellVersion(argparse.Action):
    """Reads the package's metadata when it is asked for: no other verb waits for that, or needs edged to be installed."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from importlib.metadata import version  # noqa: PLC0415

        print(f"edged {version('edged')}")
        parser.exit()


def _seconds(text: str) -> float:
    with suppress(ValueError):
        if 0 <= (seconds := float(text)) < math.inf:
            return seconds
    message = f"cannot use {text!r}, expected a number of seconds, or 0: until Ctrl-C"
    raise argparse.ArgumentTypeError(message)


Option = tuple[tuple[str, ...], dict[str, Any]]

_JSON: Option = (("--json",), {"action": "store_true", "help": "one JSON document on standard output"})
_NAMED: Option = (
    ("--config",),
    {"type": Path, "default": None, "metavar": "F", "help": f"the configuration (default: {CONFIG})"},
)
_USUAL: Option = (("--config",), {**_NAMED[1], "default": CONFIG})
_SYSROOT: Option = (
    ("--sysroot",),
    {"type": Path, "default": Path("/"), "metavar": "DIR", "help": "another machine's files: proc, sys, dev, etc"},
)
_SECONDS: Option = (
    ("--seconds",),
    {"type": _seconds, "default": None, "metavar": "N", "help": "end after so long; 0: at Ctrl-C"},
)
_BROKER: Option = (
    ("--broker",),
    {
        "choices": ("mosquitto", "amqtt"),
        "default": None,
        "help": "default: mosquitto when it is installed, otherwise amqtt",
    },
)
_MODEL: Option = (("model",), {"metavar": "MODEL", "help": "a bundle's name, or its folder"})
_FIGURES: Option = (
    ("--figures",),
    {
        "type": Path,
        "default": None,
        "metavar": "FILE",
        "help": "recorded figures (benchmarks.json) instead of this box's",
    },
)
_OBJECTIVE: Option = (
    ("--objective",),
    {"default": None, "metavar": "O", "help": "what to choose for, as latency_ms=80,fps=10,prefer=accuracy"},
)
_SAFE: Option = (
    ("--safe",),
    {
        "action": "store_true",
        "help": "safe mode: MQTT, health and commands, no pipelines; ends with status 75 when it is over",
    },
)
_LEVEL: Option = (
    ("--log-level",),
    {"choices": ("debug", "info", "warning", "error"), "default": "info", "help": "the least that is logged"},
)

VERBS: tuple[tuple[str, Callable[[argparse.Namespace], int], str, tuple[Option, ...]], ...] = (
    ("run", run, "the daemon", (_USUAL, _LEVEL, _SAFE)),
    ("demo", demo, "the main job on this machine, with nothing else installed", (_SECONDS, _BROKER)),
    ("check", check, "every fault of the configuration and of what it names", (_USUAL, _JSON)),
    ("hardware", hardware, "what this box is made of", (_NAMED, _SYSROOT, _JSON)),
    (
        "explain",
        explain,
        "which variant of a model runs here, and why",
        (_MODEL, _NAMED, _SYSROOT, _FIGURES, _OBJECTIVE, _JSON),
    ),
    ("models", models, "installed, active, previous and quarantined models", (_NAMED, _JSON)),
)
