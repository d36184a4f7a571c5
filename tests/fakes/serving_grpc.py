"""A server of a box's models over gRPC, on a port of its own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from edged.api.access import Access
from edged.api.grpc import GrpcListening, GrpcServer
from fakes.brokers import free_port
from fakes.serving import Box


@contextmanager
def served(made: Box, access: Access | None = None) -> Iterator[str]:
    """Serve a box; gives where."""
    listening = GrpcListening("127.0.0.1", free_port(), 4_000_000)
    server = GrpcServer(listening, made.handlers, lambda: access or Access(), time.monotonic_ns)
    server.start()
    assert server.working, repr(server)
    try:
        yield listening.where
    finally:
        server.stop()
        assert server.join(30), "the server did not end"
        made.handlers.shelf.close()
