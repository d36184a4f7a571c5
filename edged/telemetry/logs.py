"""Logs are events with fields: a stable name, then key=value pairs; JSON lines where no person reads along."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO

ROOT = "edged"
FIELDS = "fields"
"""The attribute of a log record that carries the event's fields."""


def event(logger: logging.Logger, name: str, *, level: int = logging.INFO, **fields: Any) -> None:
    """Log that ``name`` happened, with what a person or a program needs to know about it."""
    if logger.isEnabledFor(level):
        logger.log(level, name, extra={FIELDS: fields})


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
    """``LEVEL name key=value …`` for a terminal or a journal, which has the time already."""

    def format(self, record: logging.LogRecord) -> str:
        """Give one line, and the traceback below it when there is one."""
        fields: Mapping[str, Any] = getattr(record, FIELDS, {})
        line = " ".join([record.levelname, record.getMessage(), *(f"{key}={_word(fields[key])}" for key in fields)])
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """One JSON object a line, for programs."""

    def format(self, record: logging.LogRecord) -> str:
        """Give the event, its level, its time (UTC seconds) and its fields."""
        document = {"at": record.created, "level": record.levelname.lower(), "event": record.getMessage()}
        document |= getattr(record, FIELDS, {})
        if record.exc_info:
            document["traceback"] = self.formatException(record.exc_info)
        return json.dumps(document, default=str)


def set_up(level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send edged's logs to ``stream`` (standard error): plain for a terminal or the journal, JSON lines otherwise."""
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    handler.setFormatter(PlainFormatter() if stream.isatty() or _is_journal() else JsonFormatter())
    logger = logging.getLogger(ROOT)
    logger.handlers[:] = [handler]
    logger.setLevel(level)
    logger.propagate = False


def _is_journal() -> bool:
    return "JOURNAL_STREAM" in os.environ


def _word(value: Any) -> str:
    text = str(value)
    return json.dumps(text) if not text or any(c.isspace() or c in '"=' for c in text) else text
