"""Where the time of frames and requests is told: ``[tracing]``."""

from __future__ import annotations

from pydantic import field_validator

from edged.config.keys import File, Fraction, Section, Url
from edged.config.urls import is_http


class Tracing(Section):
    """Traces of frames and requests. Present, even when empty: each result carries a ``traceparent``. Holds until a restart."""

    endpoint: Url | None = None
    """Where an OpenTelemetry collector takes traces over OTLP/HTTP, such as ``http://collector.plant.local:4318/v1/traces``; needs the
    extra ``otel``. Default: spans are collected nowhere."""
    sample: Fraction = 0.01
    """Which part of the frames is collected, and of the requests that do not say themselves whether their trace is."""
    token_file: File | None = None
    """A file that holds what the collector asks for as a bearer token."""

    @field_validator("endpoint")
    @classmethod
    def _speaks_http(cls, endpoint: str | None) -> str | None:
        if endpoint is not None and not is_http(endpoint):
            message = "cannot send traces there, expected an http or https URL such as http://collector:4318/v1/traces"
            raise ValueError(message)
        return endpoint
