"""Requests of the protocol to a model that takes four numbers, and their answers."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from fakes.raw_http import RawClient, Said

X = np.arange(4, dtype="<f4").reshape(1, 4)
INFER = "/v2/models/m/infer"


def asked(*, binary: bool = False, **more: Any) -> tuple[dict[str, Any], bytes]:
    tensor: dict[str, Any] = {"name": "x", "datatype": "FP32", "shape": [1, 4]}
    tensor |= {"parameters": {"binary_data_size": 16}} if binary else {"data": X.tolist()}
    return {"inputs": [tensor], **more}, X.tobytes() if binary else b""


def infer(client: RawClient, document: dict[str, Any], tail: bytes = b"", path: str = INFER, **headers: str) -> Said:
    head = json.dumps(document).encode()
    lengths = {"Inference-Header-Content-Length": str(len(head))} if tail else {}
    return client.ask("POST", path, head + tail, **lengths, **headers)


def given(said: Said) -> np.ndarray[Any, Any]:
    """Give the output, whichever way it came."""
    assert said.status == 200, said.body
    if "inference-header-content-length" not in said.headers:
        return np.array(said.json["outputs"][0]["data"], np.float32).reshape(said.json["outputs"][0]["shape"])
    length = int(said.headers["inference-header-content-length"])
    (output,) = json.loads(said.body[:length])["outputs"]
    assert output["parameters"] == {"binary_data_size": len(said.body) - length}
    return np.frombuffer(said.body[length:], "<f4").reshape(output["shape"])
