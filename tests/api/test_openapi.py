"""The OpenAPI document: it names what is served, and what is served does as it says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edged.api import metrics, page
from edged.api.openapi import document
from fakes.raw_http import RawClient
from fakes.serving import FakeBrought, box, served

EXAMPLES = os.environ.get("EDGED_SOAK_EXAMPLES", "3")
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
SCHEMATHESIS = (sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()")


def test_every_path_that_is_served_is_described() -> None:
    with served(box(FakeBrought("m"))) as port, RawClient(port) as client:
        document = client.ask("GET", "/api/openapi.json").json

    described = {(path, method.upper()) for path, methods in document["paths"].items() for method in methods}
    assert {("/v2/models/{model}/infer", "POST"), ("/healthz", "GET"), ("/api/openapi.json", "GET")} <= described
    assert all(name in document["components"]["schemas"] for name in references(document))


def test_what_is_no_json_is_described_by_its_media_type() -> None:
    rows = [*page.routes(Nothing()), *metrics.routes(str)]

    described = {
        path: methods["get"]["responses"]["200"].get("content")
        for path, methods in document(rows, "0")["paths"].items()
    }

    assert described["/"] == {"text/html; charset=utf-8": {}}
    assert described["/api/pipelines/{pipeline}/picture"] == {"image/jpeg": {}}
    assert described["/metrics"] == {"text/plain; version=0.0.4; charset=utf-8": {}}
    assert None not in described.values()


class Nothing:
    """What a page looks at where nothing runs."""

    def document(self) -> dict[str, Any]:
        return {}

    def picture(self, _name: str) -> None:
        return None

    def window(self, _name: str) -> None:
        return None


@pytest.mark.slow
def test_the_server_does_as_its_document_says(tmp_path: Path) -> None:
    made = box(FakeBrought("m"), FakeBrought("idle")).loaded("m")
    with served(made) as port:
        url = f"http://127.0.0.1:{port}/api/openapi.json"
        options = [
            "--seed",
            "20261121",
            "--max-examples",
            EXAMPLES,
            "--checks",
            CHECKS,
            "--phases",
            "examples,coverage,fuzzing",
        ]
        said = subprocess.run(
            [*SCHEMATHESIS, "run", url, *options, "--no-color"],
            capture_output=True,
            text=True,
            timeout=600,
            cwd=tmp_path,
            check=False,
        )

    assert said.returncode == 0, said.stdout[-4000:] + said.stderr[-1000:]


def references(node: Any) -> set[str]:
    """Give the names of all schemas that are referred to."""
    if isinstance(node, dict):
        own = {str(node["$ref"]).rpartition("/")[2]} if "$ref" in node else set()
        return own.union(*(references(one) for one in node.values()))
    if isinstance(node, list):
        return set().union(*(references(one) for one in node))
    return set()
