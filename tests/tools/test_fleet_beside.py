"""The access rules for what stands beside edged's own documents: nobody gets more than its own."""

from __future__ import annotations

import pytest

from edgectl.fleet import access
from edged.domain.errors import ConfigError


def topics(role: access.Document, kind: str) -> set[str]:
    return {one["topic"] for one in role["acls"] if one["acltype"] == kind}


def test_a_device_announces_itself_alone_and_hears_home_assistant_come_up() -> None:
    plain, told = access.device_role("press-01"), access.device_role("press-01", announces="ha")
    assert topics(told, "publishClientSend") - topics(plain, "publishClientSend") == {"ha/device/press-01/config"}
    assert topics(told, "subscribeLiteral") - topics(plain, "subscribeLiteral") == {"ha/status"}


def test_home_assistant_reads_what_boxes_tell_and_writes_nothing_that_they_read() -> None:
    role = access.homeassistant_role("ha")
    assert topics(role, "publishClientSend") == {"ha/status"}
    assert topics(role, "subscribePattern") == {"edged/v1/d/+/out/#", "ha/#"}


def test_sparkplugs_user_speaks_for_its_own_node_alone() -> None:
    role = access.sparkplug_role("press-01", "line-a")
    written = topics(role, "publishClientSend")
    assert "spBv1.0/line-a/DDATA/press-01/#" in written
    assert all(topic.split("/")[1:4:2] == ["line-a", "press-01"] and "+" not in topic for topic in written)
    assert topics(role, "subscribeLiteral") == {"spBv1.0/line-a/NCMD/press-01"}


@pytest.mark.parametrize("group", ["#", "a/b", "+", ""])
def test_a_group_that_would_widen_a_rule_is_refused(group: str) -> None:
    with pytest.raises(ConfigError):
        access.sparkplug_role("press-01", group)


@pytest.mark.parametrize("prefix", ["#", "+", "a/#"])
def test_a_prefix_that_would_widen_a_rule_is_refused(prefix: str) -> None:
    with pytest.raises(ConfigError):
        access.device_role("press-01", announces=prefix)
    with pytest.raises(ConfigError):
        access.homeassistant_role(prefix)
