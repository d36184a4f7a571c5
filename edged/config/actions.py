"""What the box does about events: the ``[[action]]`` tables, which rules name."""

from __future__ import annotations

from pathlib import Path
from string import Formatter
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from edged.config.keys import DAY_S, File, Flag, Name, Number, Section, Text, Url, Whole

Phase = Literal["start", "ongoing", "end"]
PLACEHOLDERS = ("device", "pipeline", "rule", "phase")
CHIP = Path("/dev/gpiochip0")


class Interlock(Section):
    """What has to be so for the action to be done; what cannot be read is not so."""

    path: File | None = None
    """A file that has to be there, such as one that the machine's own controller makes while it is armed."""
    chip: File = CHIP
    """The GPIO chip of ``line``."""
    line: Annotated[Whole, Field(ge=0, le=1023)] | None = None
    """A GPIO input that has to be active."""
    active_low: Flag = False
    """Whether the input is active when it is low."""

    @model_validator(mode="after")
    def _names_one(self) -> Interlock:
        if (self.path is None) == (self.line is None):
            message = "cannot use an interlock with path and line, or with neither: expected one of them"
            raise ValueError(message)
        return self


class _Action(Section):
    name: Name
    at_most_per_min: Annotated[Whole, Field(ge=1, le=6000)] = 60
    """More often it is not begun; what was left out is counted and told. What ends a lasting action is always done."""
    interlock: Interlock | None = None
    """What has to be so for it to be begun."""
    dry_run: Flag = False
    """Everything but the effect: it is decided, noted in the audit log and told."""


class _OnPhases(_Action):
    on: Annotated[tuple[Phase, ...], Field(min_length=1)] = ("start",)
    """The phases of an event about which it is done."""


class GpioAction(_Action):
    """An output line: active while an event lasts, or for a while from its start."""

    kind: Literal["gpio"]
    chip: File = CHIP
    """The GPIO chip."""
    line: Annotated[Whole, Field(ge=0, le=1023)]
    """The line's number on it."""
    active_low: Flag = False
    """Whether the line is active when it is low."""
    hold_s: Annotated[Number, Field(gt=0, le=DAY_S)] | None = None
    """How long from an event's start. Default: until it ends, and until the last of several has. It is inactive while edged is stopped."""


class SerialAction(_OnPhases):
    """A text on a serial line."""

    kind: Literal["serial"]
    port: File
    """The device, such as /dev/ttyUSB0."""
    baud: Annotated[Whole, Field(ge=50, le=4_000_000)] = 9600
    text: Text
    """What is written: ``{device}``, ``{pipeline}``, ``{rule}`` and ``{phase}`` stand for the event's own."""

    @field_validator("text")
    @classmethod
    def _can_be_filled_in(cls, text: str) -> str:
        try:
            parts = list(Formatter().parse(text))
        except ValueError:
            parts = [("", "", "", "")]
        # Names alone: what formats further could reach into what it is given.
        if any(name is not None and (name not in PLACEHOLDERS or spec or turned) for _, name, spec, turned in parts):
            named = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
            message = f"cannot fill in {text!r:.60}, expected no braces but those of {named}"
            raise ValueError(message)
        return text


class PublishAction(_OnPhases):
    """A document below ``out/action/`` on the broker, for what listens there without knowing pipelines."""

    kind: Literal["publish"]
    retain: Flag = False
    """Whether the broker keeps the last one."""


class WebhookAction(_OnPhases):
    """The event's document, sent to a URL by POST."""

    kind: Literal["webhook"]
    url: Url
    """http or https."""
    token_file: File | None = None
    """A file that holds what is sent as a bearer token."""
    ca: File | None = None
    """Certificates that may have signed the server's, PEM. Default: those of the system."""
    timeout_s: Annotated[Number, Field(gt=0, le=60)] = 5.0
    """How long one try may take."""
    give_up_after_s: Annotated[Number, Field(gt=0, le=3600)] = 60.0
    """Tries are made for so long while the server is not reached, is busy or faulty; what it refuses is not sent again."""

    @field_validator("url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        parts = urlsplit(url)
        is_http = parts.scheme in {"http", "https"} and parts.hostname
        if not (is_http and url.isascii() and url.isprintable() and " " not in url and parts.port != 0):
            message = f"cannot call {url!r:.80}, expected an http or https URL, in ASCII and without spaces"
            raise ValueError(message)
        return url


class CommandAction(_OnPhases):
    """A program with fixed arguments; it is given the event's document on its standard input, and no shell."""

    kind: Literal["command"]
    run: Annotated[tuple[Text, ...], Field(min_length=1, max_length=64)]
    """The program's file and its arguments."""
    timeout_s: Annotated[Number, Field(gt=0, le=600)] = 10.0
    """After so long it is ended, with all that it started."""

    @field_validator("run")
    @classmethod
    def _is_a_file(cls, run: tuple[str, ...]) -> tuple[str, ...]:
        if not run[0].startswith("/"):
            message = f"cannot run {run[0]!r:.80}, expected the whole path of a program"
            raise ValueError(message)
        return run


Action = Annotated[
    GpioAction | SerialAction | PublishAction | WebhookAction | CommandAction, Field(discriminator="kind")
]
