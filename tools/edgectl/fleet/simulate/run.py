"""A rollout through a simulated fleet, from the first order until every box has come to its end."""

from __future__ import annotations

import base64
import json
import math
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

from edgectl.fleet.plan import Abort, Gates, Plan, Stage, Wanted
from edgectl.fleet.rollout import Outcome
from edgectl.fleet.run import Runner
from edgectl.fleet.settings import Settings
from edgectl.fleet.simulate.box import Ground, SimulatedBox
from edgectl.fleet.simulate.crowd import Crowd, Traffic
from edgectl.fleet.simulate.ground import MODEL, NEXT, Broker, Mosquitto, allow_files, publish_releases, workplace
from edgectl.fleet.simulate.nats import NatsCluster
from edgectl.fleet.simulate.result import Look, Result
from edgectl.fleet.simulate.script import Role, Terms, cast
from edgectl.fleet.view import FILTERS, Fleet
from edgectl.fleet.wire import Wire
from edged.assembly.box import survey
from edged.config.schema import Mqtt
from edged.domain.errors import DeviceError
from edged.domain.message import Draft
from edged.fleet.topics import ROOT
from edged.hardware.process import resident_mb

LOOK_S = 0.25
TURN_S = 0.02
CAMPAIGN = "simulation"
OPEN = frozenset({Outcome.QUEUED, Outcome.SENT, Outcome.UNDER_WAY})
LISTENER, UPDATES = "listener", f"{ROOT}/d/+/out/update"
ARRIVES_S = 20.0
"""How long what was acknowledged may be on its way to who listens: a cluster elects new leaders meanwhile."""
OFF = json.dumps({"schema": "edged.status/1", "state": "offline"}).encode()


def simulate(terms: Terms) -> Result:
    """Run it. Raises ConfigError where the machine does not allow it, DeviceError when boxes do not come up."""
    allow_files(terms.devices)
    with workplace(terms.devices) as folder, ExitStack() as stack:
        broker: Broker = NatsCluster(folder) if terms.is_clustered else Mosquitto(folder)
        stack.callback(broker.stop)
        broker.start()
        return _Simulation(terms, folder, broker).run(stack)


class _Simulation:
    def __init__(self, terms: Terms, folder: Path, broker: Broker) -> None:
        self._terms, self._folder, self._broker = terms, folder, broker
        self._release = publish_releases(folder)
        self._crowd = Crowd(broker.ports, broker.protocol, terms.seed)
        self._crowd.acknowledged = self._taken
        self._numbers: Counter[str] = Counter()
        self._acknowledged: set[bytes] = set()
        self._arrived: set[bytes] = set()
        self._due_s: dict[str, float] = {}
        self._boxes: dict[str, SimulatedBox] = {}
        self._left: set[str] = set()
        self._stop, self._broken = threading.Event(), ""
        self._gone_s = math.inf if terms.restarts_broker else 0.0
        names = [f"box-{number:04}" for number in range(terms.devices)]
        self.result = Result(terms, roles=cast(names, terms))

    def run(self, stack: ExitStack) -> Result:
        empty_mb = resident_mb()
        self._people()
        thread = threading.Thread(target=self._turn, name="crowd", daemon=True)
        stack.callback(self._crowd.close)
        stack.callback(thread.join, 10.0)
        stack.callback(self._stop.set)
        thread.start()
        fleet = Fleet()
        wire = stack.enter_context(Wire(Settings(mqtt=Mqtt(port=self._broker.port)), FILTERS, fleet.heard, "fleet"))
        self._until(lambda: _known(fleet) == self._terms.devices, "every box to be known")
        self.result.memory_kb = (resident_mb() - empty_mb) * 1024 / len(self._boxes)
        before = Traffic(self._crowd.sent.messages, self._crowd.sent.payload_bytes)
        self._follow(fleet, partial(wire.publish, retain=True))
        until_s = time.monotonic() + ARRIVES_S
        while self._acknowledged - self._arrived and time.monotonic() < until_s:
            time.sleep(LOOK_S)
        self.result.acknowledged = len(self._acknowledged)
        self.result.lost = len(self._acknowledged - self._arrived)
        sent, received = self._crowd.sent, self._crowd.received
        self.result.sent = Traffic(sent.messages - before.messages, sent.payload_bytes - before.payload_bytes)
        self.result.received = received
        return self.result

    def _people(self) -> None:
        # Its session outlives a connection: what is missing here in the end was lost.
        self._crowd.add(LISTENER, UPDATES, (f"{ROOT}/f/{LISTENER}", OFF), self._arrived.add, is_counted=False)
        ground = Ground(
            MODEL,
            self._folder / "models",
            self._folder / "repository",
            survey(Path("/"), "auto", ()),
            self._terms,
        )
        for name, role in self.result.roles.items():
            say = partial(self._say, name)
            box = SimulatedBox(name, role, self._folder / "boxes" / name, ground, say)
            self._boxes[name] = box
            place = f"{ROOT}/d/{name}"
            will = f"{place}/out/status", OFF
            self._crowd.add(name, f"{place}/in/desired", will, partial(self._heard, box), box.introduce)

    # -- on the crowd's thread

    def _turn(self) -> None:
        try:
            while not self._stop.is_set():
                self._crowd.turn(TURN_S)
                now_s = time.monotonic()
                for name in [name for name, due_s in self._due_s.items() if due_s <= now_s]:
                    if time.monotonic() - now_s > TURN_S:
                        break  # connections must not wait for all the others' agents: they share a thread here alone
                    wait_s = self._boxes[name].tick()
                    self._due_s[name] = time.monotonic() + wait_s
        except Exception as error:  # noqa: BLE001 - told where the simulation waits for it
            self._broken = f"{type(error).__name__}: {error}"

    def _heard(self, box: SimulatedBox, envelope: bytes) -> None:
        if box.role is Role.GOES_OFFLINE and box.name not in self._left:
            self._left.add(box.name)
            self._crowd.cut(box.name, self._terms.away_s)
            return
        box.take(envelope)
        self._due_s[box.name] = 0.0

    def _say(self, name: str, draft: Draft) -> None:
        self._numbers[name] += 1  # so that no two are alike
        body = {**draft.body, "device": name, "seq": self._numbers[name]}
        payload = json.dumps(body, separators=(",", ":")).encode()
        self._crowd.publish(name, f"{ROOT}/d/{name}/out/{draft.stream}", payload, qos=draft.qos, retain=draft.retain)

    def _taken(self, topic: str, payload: bytes) -> None:
        if topic.endswith("/out/update"):
            self._acknowledged.add(payload)

    # -- the fleet manager's

    def _follow(self, fleet: Fleet, publish: Callable[[str, bytes], None]) -> None:
        """Carry the rollout out until every box has come to its end."""
        plan = _plan(self._terms)
        release = replace(self._release, probation_s=plan.probation_s, min_inferences=plan.min_inferences)
        runner = Runner(plan, release, CAMPAIGN, _unsigned, publish)
        began_s = time.monotonic()
        at_s = 0.0
        self._look(fleet, plan, at_s)
        while at_s < self._terms.timeout_s and self.result.converged_s is None:
            self._told_broken()
            runner.step(fleet, time.time())
            at_s = time.monotonic() - began_s
            self._look(fleet, plan, at_s)
            is_due = self._terms.restarts_broker and self.result.restarted_s is None
            if is_due and 2 * sum(end not in OPEN for end in self.result.ends.values()) >= len(self._boxes):
                self._restart(at_s)
            time.sleep(LOOK_S)
        if self.result.restarted_s is not None:
            gone_s = began_s + self.result.restarted_s
            there_s = gone_s + self.result.gone_s
            # A box may find it before it is seen here that it listens.
            self.result.back_s = [max(0.0, one - there_s) for one in self._crowd.arrivals_s if one > gone_s]

    def _look(self, fleet: Fleet, plan: Plan, at_s: float) -> None:
        boxes, result = fleet.boxes(plan), self.result
        result.ends = {name: box.outcome(time.time(), plan.timeout_s) for name, box in boxes.items()}
        counts = Counter(one.value for one in result.ends.values())
        result.looks.append(Look(at_s, dict(counts), sum(box.is_online for box in boxes.values())))
        if OPEN.isdisjoint(result.ends.values()) and result.looks[-1].online == len(boxes) and self._is_back():
            result.converged_s = at_s

    def _is_back(self) -> bool:
        """Whether all are connected, and the broker was away before: until they find that it was, all look as if they were."""
        return self._crowd.online > len(self._boxes) and self._crowd.arrivals_s[-1] > self._gone_s

    def _restart(self, at_s: float) -> None:
        self._gone_s = time.monotonic()
        self.result.restarted_s, self.result.gone_s = at_s, self._broker.disturb()

    def _until(self, holds: Callable[[], bool], what: str) -> None:
        until_s = time.monotonic() + self._terms.timeout_s
        while not holds():
            self._told_broken()
            if time.monotonic() > until_s:
                message = f"cannot simulate a fleet: waited {self._terms.timeout_s:.0f} s for {what}"
                raise DeviceError(message)
            time.sleep(0.05)

    def _told_broken(self) -> None:
        if self._broken:
            message = f"cannot simulate a fleet: {self._broken}, expected its boxes to go on"
            raise DeviceError(message)


def _plan(terms: Terms) -> Plan:
    """Give a rollout that goes on whatever fails, to all at once: what is looked at is the boxes."""
    return Plan(
        name=CAMPAIGN,
        model=Wanted(name=MODEL, version=NEXT),
        stage=(Stage(name="all", share=1.0, soak_s=0),),
        gates=Gates(success=0.0, max_unknown=1.0),
        abort=Abort(share=1.0),
        per_minute=1000,
        probation_s=terms.probation_s,
        min_inferences=0,
    )


def _unsigned(payload: bytes) -> bytes:
    envelope = {"payload": base64.b64encode(payload).decode(), "payloadType": "application/vnd.edged.desired+json"}
    return json.dumps({**envelope, "signatures": []}).encode()


def _known(fleet: Fleet) -> int:
    return sum(bool(one.models()) and one.is_online for one in list(fleet.devices.values()))
