"""Carries a rollout out: looks, decides, orders; every few seconds, until it is over or somebody stops it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from edgectl.fleet.plan import Plan
from edgectl.fleet.rollout import Decision, Status, decide
from edgectl.fleet.stages import stages_of
from edgectl.fleet.view import REVOKED, TOLD, Fleet
from edgectl.ordering import Given, next_order, topic_of
from edged.fleet.topics import rfc3339
from edged.update.desired import Audience, ModelOrder

Sign = Callable[[bytes], bytes]
"""Puts a payload into an envelope with the signatures of the role ``desired``."""
Publish = Callable[[str, bytes], None]
"""Publishes, retained, and returns when the broker has it."""


@dataclass(frozen=True, slots=True)
class Runner:
    """A rollout of one release.

    ``release`` is what the repository says of it; ``before`` gives the release that a device ran before, None when none is known.
    """

    plan: Plan
    release: ModelOrder
    by: str
    sign: Sign
    publish: Publish
    before: Callable[[str], ModelOrder | None] = lambda _device: None

    def step(self, fleet: Fleet, now_s: float) -> Decision:
        """Look once, and give the orders that are due."""
        boxes = fleet.boxes(self.plan)
        stages = stages_of({name: box.profile for name, box in boxes.items()}, self.plan.stage, self.plan.name)
        told = fleet.told.get(self.plan.name)
        decision = decide(self.plan, stages, boxes, now_s, None if told is Status.RUNNING else told)
        if decision.status is Status.ABORTED and told is not Status.ABORTED:
            # Before the first box is ordered back: whoever goes on after a fall must not take it up again.
            self.publish(*tell(self.plan.name, Status.ABORTED, self.by, now_s))
        self._order(fleet, decision.send, now_s, self.plan.name, lambda _device: self.release)
        self._order(fleet, decision.revoke, now_s, self.plan.name + REVOKED, self.before)
        return decision

    def _order(
        self,
        fleet: Fleet,
        devices: Iterable[str],
        now_s: float,
        campaign: str,
        wanted: Callable[[str], ModelOrder | None],
    ) -> None:
        given = Given(self.by, campaign, now_s, self.plan.valid_s)
        for device in devices:
            audience = Audience("device", device)
            payload = next_order(
                audience,
                fleet.orders.get(audience),
                {self.plan.model.name: wanted(device)},
                given,
                fleet.seen_seq(audience),
                fleet.asked.get(audience),
            )
            self.publish(topic_of(audience), self.sign(payload))


def tell(name: str, status: Status, by: str, now_s: float) -> tuple[str, bytes]:
    """Give topic and payload that ask a rollout to pause, to go on or to end; retained, they outlive whoever carries it out."""
    body = {"schema": "edged.rollout/1", "state": status.value, "by": by, "at": rfc3339(int(now_s * 1e9))}
    return f"{TOLD}/{name}", json.dumps(body).encode()
