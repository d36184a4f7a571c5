"""What Prometheus scrapes from a daemon that runs."""

from __future__ import annotations

from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from fakes.serving_daemon import Serving

pytestmark = [pytest.mark.slow, pytest.mark.assets]


def test_a_daemon_tells_what_it_counts(serving: Serving) -> None:
    with urlopen(f"http://127.0.0.1:{serving.port}/metrics") as answer:
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        text = answer.read().decode()
    told = {one.name: one.value for family in text_string_to_metric_families(text) for one in family.samples}
    assert told["edged_info"] == 1
    assert told["edged_config_generation"] >= 1
    assert told["edged_process_resident_bytes"] > 1e6
    assert told["edged_uptime_seconds"] > 0
