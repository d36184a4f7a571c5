"""An OpenTelemetry collector's end of OTLP over HTTP: it decodes what comes and keeps every span."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from fakes.answering import answering


@dataclass
class Collected:
    """``spans`` as they came, ``resource`` of the last, ``asked`` the authorization of each request; ``status`` is what it answers."""

    url: str = ""
    status: int = 200
    spans: list[Span] = field(default_factory=list)
    resource: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def of(self, trace_id: str) -> dict[str, Span]:
        """Give the spans of a trace by name."""
        return {span.name: span for span in list(self.spans) if span.trace_id.hex() == trace_id}


@contextmanager
def collector() -> Iterator[Collected]:
    """Listen on a free port until the end of the block."""
    found = Collected()

    class Takes(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.asked.append(self.headers.get("Authorization", ""))
            if found.status == 200:
                _keep(found, gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
            self.send_response(found.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

    with answering(Takes) as url:
        found.url = f"{url}v1/traces"
        yield found


def _keep(found: Collected, body: bytes) -> None:
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        found.resource = {one.key: one.value.string_value for one in resource.resource.attributes}
        found.spans += [span for scope in resource.scope_spans for span in scope.spans]
