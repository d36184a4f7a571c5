"""A client of gRPC that sends bytes as they are: a library would make a message of each tensor anew."""

from __future__ import annotations

import time
from typing import Any

import grpc
import numpy as np
from served import MODEL, Server

from edged.api import grpc_messages as messages
from edged.api.protobuf import encode

CALL = f"/{messages.SERVICE}/ModelInfer"


def infer_request(tensor: np.ndarray[tuple[int, ...], Any], name: str, model: str = MODEL) -> bytes:
    """Give the bytes of a request with a raw tensor."""
    asked = {"name": name, "datatype": "FP32", "shape": list(tensor.shape)}
    document = {"model_name": model, "inputs": [asked], "raw_input_contents": [tensor.tobytes()]}
    return bytes(encode(messages.INFER_REQUEST, document))


def press(server: Server, request: bytes, seconds: float) -> tuple[int, float]:
    """Ask for so long, each time as soon as it was answered; gives how often, and the server's CPU time in seconds."""
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        ask = channel.unary_unary(CALL)
        ask(request, timeout=60)
        before_s, end_s, answered = server.cpu_s(), time.monotonic() + seconds, 0
        while time.monotonic() < end_s:
            ask(request, timeout=60)
            answered += 1
        return answered, server.cpu_s() - before_s
