"""The fleet as its retained documents have it, and the orders that are written from it."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgectl.fleet.plan import Plan
from edgectl.fleet.rollout import Box, Status
from edgectl.fleet.run import Runner, tell
from edgectl.fleet.view import Fleet, versions
from edgectl.ordering import Given, next_order, topic_of
from edged.update.desired import Audience, ModelOrder, parse

PLAN = Plan.model_validate(
    {
        "name": "autumn",
        "model": {"name": "parts", "version": "1.3.0"},
        "stage": [{"name": "all", "share": 1.0, "soak_s": 0}],
    }
)
RELEASE = ModelOrder("parts", "1.3.0", "parts-1.3.0.edgemodel", 1000, "a" * 64)
OLDER = ModelOrder("parts", "1.2.0", "parts-1.2.0.edgemodel", 900, "b" * 64)
OTHER = ModelOrder("vibration", "2.0.0", "vibration-2.0.0.edgemodel", 900, "c" * 64)
NOW_S = 1_795_000_000.0
PRESS = Audience("device", "press-07")


def enveloped(payload: bytes) -> bytes:
    return json.dumps({"payload": base64.b64encode(payload).decode(), "payloadType": "x", "signatures": []}).encode()


class Broker:
    """What is retained, and a fleet that reads it."""

    def __init__(self) -> None:
        self.fleet = Fleet()
        self.published: list[str] = []

    def publish(self, topic: str, payload: bytes) -> None:
        self.published.append(topic)
        self.fleet.heard(topic, payload)

    def tells(self, device: str, stream: str, **document: Any) -> None:
        self.fleet.heard(f"edged/v1/d/{device}/out/{stream}", json.dumps(document).encode())

    def box(self, device: str, *models: dict[str, Any], profile: str = "pi") -> None:
        self.tells(device, "status", state="online")
        self.tells(device, "inventory", profile=profile, groups=["line-a"])
        self.tells(device, "models", models=list(models))

    def runner(self, plan: Plan = PLAN) -> Runner:
        return Runner(plan, RELEASE, "jane", enveloped, self.publish, lambda _device: OLDER)

    def sees(self, plan: Plan = PLAN) -> Box:
        return self.fleet.boxes(plan)["press-07"]


@pytest.fixture
def broker() -> Broker:
    made = Broker()
    made.box("press-07")
    return made


def test_a_box_that_nobody_ordered_anything_is_ordered_the_release(broker: Broker) -> None:
    decision = broker.runner().step(broker.fleet, NOW_S)
    assert decision.send == ("press-07",)
    assert broker.published == ["edged/v1/d/press-07/in/desired"]
    order = broker.fleet.orders[PRESS]
    assert (order.seq, order.campaign, order.by, dict(order.models)) == (1, "autumn", "jane", {"parts": RELEASE})


def test_what_is_ordered_is_ordered_once(broker: Broker) -> None:
    broker.runner().step(broker.fleet, NOW_S)
    again = broker.runner().step(broker.fleet, NOW_S + 1)
    assert (again.status, again.send) == (Status.RUNNING, ())
    assert len(broker.published) == 1


def test_a_groups_order_of_the_same_number_is_another_one(broker: Broker) -> None:
    broker.runner().step(broker.fleet, NOW_S)
    desired = {"seq": 1, "audience": "group:line-a"}
    broker.box("press-07", {"name": "parts", "state": "committed", "desired": desired})
    assert broker.sees().reported == ""


def test_a_box_that_commits_ends_it(broker: Broker) -> None:
    """Cases 54 and 55: whoever looks anew reads it from what is retained; told twice it counts once."""
    broker.runner().step(broker.fleet, NOW_S)
    for _ in range(2):
        broker.box(
            "press-07", {"name": "parts", "state": "committed", "desired": {"seq": 1}, "since": "2026-11-18T00:00:00Z"}
        )
    anew = Runner(PLAN, RELEASE, "joe", enveloped, broker.publish)
    assert anew.step(broker.fleet, NOW_S + 60).status is Status.FINISHED


def test_what_a_box_says_of_an_earlier_order_does_not_count(broker: Broker) -> None:
    broker.runner().step(broker.fleet, NOW_S)
    broker.box("press-07", {"name": "parts", "state": "committed", "desired": {"seq": 0}})
    assert broker.sees().reported == ""


def test_the_figures_of_the_ordered_version_are_compared(broker: Broker) -> None:
    broker.runner().step(broker.fleet, NOW_S)
    conduct = {"version": "1.3.0", "before": {"p95_ms": 20.0}, "now": {"p95_ms": 30.0, "error_share": 0.01}}
    broker.box("press-07", {"name": "parts", "state": "committed", "desired": {"seq": 1}, "conduct": conduct})
    assert (broker.sees().p95_ratio, broker.sees().error_share) == (1.5, 0.01)


@pytest.mark.parametrize(
    ("changes", "drifts"),
    [
        ({}, True),
        ({"code": "stalled"}, False),
        ({"component": "bearing"}, False),
        ({"since": "2026-11-18T11:00:00.000Z"}, False),
        ({"since": None}, False),
    ],
    ids=["drift", "another reason", "another model's pipeline", "from before the order", "undated"],
)
def test_drift_counts_where_the_model_runs_and_from_the_order_on(
    broker: Broker, changes: dict[str, Any], drifts: bool
) -> None:
    broker.runner().step(broker.fleet, NOW_S)
    broker.box("press-07", {"name": "parts", "state": "committed", "desired": {"seq": 1}})
    ladders = [{"model": "parts", "pipelines": ["gate"]}, {"model": "vibration", "pipelines": ["bearing"]}]
    broker.tells("press-07", "inventory", profile="pi", models=ladders)
    reason = {"code": "drift", "component": "gate", "since": "2026-11-18T12:00:00.000Z", **changes}
    broker.tells("press-07", "health", state="degraded", reasons=[reason])
    assert broker.sees().drifts is drifts


def test_orders_for_other_models_stay(broker: Broker) -> None:
    broker.publish(
        topic_of(PRESS), enveloped(next_order(PRESS, None, {"vibration": OTHER}, Given("jane", "", NOW_S, 60)))
    )
    broker.runner().step(broker.fleet, NOW_S)
    order = broker.fleet.orders[PRESS]
    assert (order.seq, dict(order.models)) == (2, {"parts": RELEASE, "vibration": OTHER})


def test_a_broker_that_forgot_an_order_does_not_make_the_next_one_old(broker: Broker) -> None:
    broker.box("press-07", {"name": "other", "desired": {"seq": 41, "audience": "device:press-07"}})
    broker.runner().step(broker.fleet, NOW_S)
    assert broker.fleet.orders[PRESS].seq == 42


def test_a_box_that_tells_the_highest_number_ends_no_orders_for_its_group(broker: Broker) -> None:
    group = Audience("group", "line-a")
    for name, seq in (("press-07", 41), ("liar", 2**53)):
        broker.box(name, {"name": "other", "desired": {"seq": seq, "audience": "group:line-a"}})

    payload = next_order(group, None, {"parts": RELEASE}, Given("", "", NOW_S, 60), broker.fleet.seen_seq(group))

    assert parse(payload).seq == 42


def test_an_abort_orders_what_ran_before_once(broker: Broker) -> None:
    broker.runner().step(broker.fleet, NOW_S)
    broker.publish(*tell("autumn", Status.ABORTED, "jane", NOW_S))
    assert broker.runner().step(broker.fleet, NOW_S + 1).revoke == ("press-07",)
    assert dict(broker.fleet.orders[PRESS].models) == {"parts": OLDER}
    assert broker.runner().step(broker.fleet, NOW_S + 2).revoke == ()


def test_an_abort_is_kept_before_the_first_box_is_ordered_back(broker: Broker) -> None:
    for name in ("a", "b", "c"):
        broker.box(name)
    broker.runner().step(broker.fleet, NOW_S)
    for name in ("a", "b", "c"):
        broker.box(name, {"name": "parts", "state": "rolled-back", "desired": {"seq": 1, "finished": True}})
    broker.published.clear()
    assert broker.runner().step(broker.fleet, NOW_S + 1).status is Status.ABORTED
    assert broker.published[0] == "edged/v1/f/autumn"
    assert Runner(PLAN, RELEASE, "joe", enveloped, broker.publish).step(broker.fleet, NOW_S + 2).send == ()


def test_rollouts_of_two_models_do_not_take_each_others_place(broker: Broker) -> None:
    other = Plan.model_validate({"name": "winter", "model": {"name": "vibration", "version": "2.0.0"}})
    for second in range(4):
        broker.runner().step(broker.fleet, NOW_S + second)
        Runner(other, OTHER, "joe", enveloped, broker.publish).step(broker.fleet, NOW_S + second)
    assert broker.fleet.orders[PRESS].seq == 2
    broker.box(
        "press-07",
        {"name": "parts", "state": "committed", "desired": {"seq": 2}, "since": "2026-11-18T00:00:00Z"},
        {"name": "vibration", "state": "checking", "desired": {"seq": 2}},
    )
    assert broker.runner().step(broker.fleet, NOW_S + 60).status is Status.FINISHED


@pytest.mark.parametrize(
    ("told", "reported"),
    [
        ({"state": "failed", "desired": {"seq": 1, "finished": False}}, "retrying"),
        ({"state": "failed", "desired": {"seq": 1, "finished": True}}, "failed"),
        ({"state": "rejected", "code": "incompatible", "desired": {"seq": 1}}, "rejected"),
        ({"state": "rejected", "code": "mismatch", "desired": {"seq": 1}}, "refused"),
    ],
)
def test_a_boxs_word_is_taken_for_what_it_means(broker: Broker, told: dict[str, Any], reported: str) -> None:
    broker.runner().step(broker.fleet, NOW_S)
    broker.box("press-07", {"name": "parts", **told})
    assert broker.sees().reported == reported


def test_a_pause_is_kept_by_the_broker_and_taken_back_there(broker: Broker) -> None:
    broker.publish(*tell("autumn", Status.PAUSED, "jane", NOW_S))
    assert broker.runner().step(broker.fleet, NOW_S).status is Status.PAUSED
    broker.publish(*tell("autumn", Status.RUNNING, "jane", NOW_S))
    assert broker.runner().step(broker.fleet, NOW_S).send == ("press-07",)


def test_a_rollout_for_groups_leaves_others_alone(broker: Broker) -> None:
    broker.tells("far-01", "inventory", profile="pi", groups=["line-b"])
    plan = PLAN.model_copy(update={"groups": ("line-a",)})
    assert list(broker.fleet.boxes(plan)) == ["press-07"]
    assert list(broker.fleet.boxes(PLAN.model_copy(update={"exclude": ("press-07",)}))) == ["far-01"]


def test_an_order_alone_makes_no_box(broker: Broker) -> None:
    audience = Audience("device", "ghost")
    broker.publish(topic_of(audience), enveloped(next_order(audience, None, {"parts": None}, Given("", "", NOW_S, 60))))
    assert "ghost" not in broker.fleet.boxes(PLAN)


def test_an_order_that_was_cleared_is_none(broker: Broker) -> None:
    broker.runner().step(broker.fleet, NOW_S)
    broker.fleet.heard(topic_of(PRESS), b"")
    assert broker.sees().ordered_s is None


def test_versions_are_counted(broker: Broker) -> None:
    broker.box("a", {"name": "parts", "active": {"version": "1.3.0"}})
    broker.box("b", {"name": "parts", "active": {"version": "1.3.0"}})
    broker.box("c", {"name": "parts", "active": None})
    assert versions(broker.fleet.devices.values()) == {"parts": {"1.3.0": 2, "none": 1}}


def test_a_configuration_in_the_order_stays() -> None:
    first = json.loads(next_order(PRESS, None, {}, Given("", "", NOW_S, 60)))
    last = parse(json.dumps({**first, "configuration": {"toml": "x = 1"}}).encode())
    assert parse(next_order(PRESS, last, {"parts": RELEASE}, Given("", "", NOW_S, 60))).configuration == "x = 1"


@given(
    st.sampled_from(
        [
            "edged/v1/d/x/out/models",
            "edged/v1/d/x/out/status",
            "edged/v1/d/x/in/desired",
            "edged/v1/f/x",
            "edged",
            "a/b/c/d",
        ]
    ),
    st.binary(max_size=60)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["models", "desired", "seq", "name"]), inner, max_size=3)
        ),
    ).map(lambda value: json.dumps(value).encode()),
)
def test_nothing_that_arrives_breaks_it(topic: str, payload: bytes) -> None:
    fleet = Fleet()
    fleet.heard(topic, payload)
    assert len(fleet.boxes(PLAN)) <= 1
    assert versions(fleet.devices.values()) is not None
