"""Logs are events with fields: a stable code, then key=value pairs; JSON lines where no person reads along.

The code is the event's name. docs/reference/log-codes.md says what each that is a warning or worse means, from ``telemetry/codes.py``.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO

from edged.telemetry.flood import Flood
from edged.telemetry.jsontext import json_text

ROOT = "edged"
FIELDS = "fields"
"""The attribute of a log record that carries the event's fields."""
TAKEN = frozenset({"at", "level", "event", "traceback"})
"""Names that a JSON line has already."""


def event(logger: logging.Logger, name: str, *, level: int = logging.INFO, **fields: Any) -> None:
    """Log that ``name`` happened, with what a person or a program needs to know about it."""
    if logger.isEnabledFor(level):
        # One level up: whoever reads where it was logged wants the caller.
        logger.log(level, name, extra={FIELDS: fields}, stacklevel=2)


@contextmanager
def span(logger: logging.Logger, name: str, **fields: Any) -> Iterator[None]:
    """Log ``name.started`` and then ``name.done`` or ``name.failed`` with the duration in ms; passes every error on."""
    event(logger, f"{name}.started", level=logging.DEBUG, **fields)
    began_ns = time.monotonic_ns()
    outcome = "failed"
    try:
        yield
        outcome = "done"
    finally:
        took_ms = round((time.monotonic_ns() - began_ns) / 1e6, 3)
        event(logger, f"{name}.{outcome}", **fields, took_ms=took_ms)


class PlainFormatter(logging.Formatter):
    """``LEVEL name key=value …`` for a terminal, which a person reads as it comes."""

    def format(self, record: logging.LogRecord) -> str:
        """Give one line, and the traceback below it when there is one."""
        line = f"{record.levelname} {words(record)}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """One JSON object a line, for programs."""

    def format(self, record: logging.LogRecord) -> str:
        """Give the event, its level, its time (UTC seconds) and its fields."""
        document: dict[str, Any] = {
            "at": record.created,
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        given: Mapping[str, Any] = getattr(record, FIELDS, {})
        # An event may have a field of a name that is taken: the event of an update, say.
        document |= {f"field_{key}" if key in TAKEN else key: value for key, value in given.items()}
        if record.exc_info:
            document["traceback"] = self.formatException(record.exc_info)
        return json_text(document, str, default=str)


def set_up(level: str = "INFO", stream: TextIO | None = None, journal: logging.Handler | None = None) -> None:
    """Send edged's logs to ``journal``, or else to ``stream`` (standard error): in words for a terminal, JSON lines otherwise."""
    handler = journal or _written_to(stream or sys.stderr)
    handler.addFilter(Flood(FIELDS))
    logger = logging.getLogger(ROOT)
    logger.handlers[:] = [handler]
    logger.setLevel(level)
    logger.propagate = False


def words(record: logging.LogRecord) -> str:
    """Give ``name key=value …``."""
    fields: Mapping[str, Any] = getattr(record, FIELDS, {})
    return " ".join([record.getMessage(), *(f"{key}={_word(fields[key])}" for key in fields)])


def _written_to(stream: TextIO) -> logging.Handler:
    handler = logging.StreamHandler(stream)
    handler.setFormatter(PlainFormatter() if stream.isatty() else JsonFormatter())
    return handler


def _word(value: Any) -> str:
    text = str(value)
    # What is not printable would speak to the terminal: an escape sequence in a name from the network, say.
    is_plain = bool(text) and text.isprintable() and not any(c in ' "=' for c in text)
    return text if is_plain else json.dumps(text)
