"""``edgectl fleet rollout``, ``watch``, ``pause``, ``resume`` and ``abort``: a release for many boxes, a few first."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.live import Live

from edgectl.fleet import screen
from edgectl.fleet.boxes import Config
from edgectl.fleet.plan import Plan, read_plan
from edgectl.fleet.rivals import announced, rival, topic_of
from edgectl.fleet.rollout import Decision, Status, decide
from edgectl.fleet.run import Runner, tell
from edgectl.fleet.settings import FILE, Settings, read_settings
from edgectl.fleet.stages import stages_of
from edgectl.fleet.view import FILTERS, Fleet
from edgectl.fleet.wire import Wire
from edgectl.repo.orders import sign_order
from edgectl.repo.releases import find_release
from edged.domain.errors import ConfigError
from edged.update.desired import ModelOrder

OVER = frozenset({Status.FINISHED, Status.ABORTED})

File = Annotated[Path, typer.Argument(help="The rollout's file.")]
Every = Annotated[float, typer.Option(help="Seconds between two looks.")]
Once = Annotated[bool, typer.Option("--once", help="Look once, do what is due, and end.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document a look, a line each.")]
Name = Annotated[str, typer.Argument(help="The rollout's name.")]


def rollout(
    file: File,
    config: Config = FILE,
    every_s: Every = 5.0,
    once: Once = False,  # noqa: FBT002 - a flag
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """Carry a rollout out until it is over. Stopped and started anew, here or elsewhere, it goes on where it was."""
    plan, settings = read_plan(file), read_settings(config)
    repository = settings.releases()
    if repository.keys is None:
        message = "cannot sign orders: [repository] has no keys, expected their folder in fleet.toml"
        raise ConfigError(message)
    keys, fleet = repository.keys, Fleet()
    with Wire(settings, FILTERS, fleet.heard) as wire:
        wire.settle()
        runner = Runner(
            plan,
            ordered(plan, repository.folder),
            repository.by,
            lambda payload: sign_order(payload, keys),
            lambda topic, payload: wire.publish(topic, payload, retain=True),
            lambda device: before(settings, fleet, plan, device),
        )
        begun_s = _begin(plan, fleet, wire)

        def step(now_s: float) -> Decision:
            # Of two that were announced within a moment the clocks may have it otherwise than the broker: one orders nothing more.
            _stand(plan, begun_s, fleet, wire)
            decision = runner.step(fleet, now_s)
            if decision.status in OVER:
                wire.publish(*announced(plan, begun_s, is_over=True), retain=True)
            return decision

        _follow(plan, fleet, step, every_s, once=once, as_json=as_json)


def watch(
    file: File,
    config: Config = FILE,
    every_s: Every = 2.0,
    once: Once = False,  # noqa: FBT002 - a flag
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """Look on while a rollout is carried out elsewhere; orders nothing."""
    plan, fleet = read_plan(file), Fleet()
    with Wire(read_settings(config), FILTERS, fleet.heard) as wire:
        wire.settle()
        _follow(plan, fleet, lambda now_s: _decided(plan, fleet, now_s), every_s, once=once, as_json=as_json)


def pause(name: Name, config: Config = FILE) -> None:
    """Have a rollout order nothing more until it is resumed; what was ordered goes on."""
    _tell(name, Status.PAUSED, config)


def resume(name: Name, config: Config = FILE) -> None:
    """Have a rollout that was paused go on."""
    _tell(name, Status.RUNNING, config)


def abort(name: Name, config: Config = FILE) -> None:
    """End a rollout: whoever carries it out orders boxes that have not committed what they ran before."""
    _tell(name, Status.ABORTED, config)


def ordered(plan: Plan, folder: Path) -> ModelOrder:
    """Give the release as the rollout orders it. Raises ConfigError when the repository does not offer it."""
    found = find_release(folder, plan.model.name, plan.model.version)
    return replace(
        found,
        force=plan.model.force,
        shadow_one_in=plan.shadow.one_in,
        shadow_frames=plan.shadow.frames,
        shadow_agreement=plan.shadow.agreement,
        probation_s=plan.probation_s,
        min_inferences=plan.min_inferences,
    )


def before(settings: Settings, fleet: Fleet, plan: Plan, device: str) -> ModelOrder | None:
    """Give the release that a box ran before; None for one that its own folders offered.

    Raises ConfigError when it came over the air and is offered no more: the box must not be sent back to something else without a word.
    """
    told = fleet.devices[device].model(plan.model.name)
    active, previous = (told.get(key) or {} for key in ("active", "previous"))
    runs = active if active.get("version") != plan.model.version else previous
    return (
        find_release(settings.releases().folder, plan.model.name, str(runs["version"])) if runs.get("target") else None
    )


def _begin(plan: Plan, fleet: Fleet, wire: Wire) -> float:
    """Announce a rollout, and give when it was begun. Raises ConfigError when another one orders the same model on its boxes.

    Asked again behind the announcement: of two that are started at once the later one finds the other now.
    """
    known = fleet.announced.get(plan.name)
    goes_on = known is not None and not known.is_over
    begun_s = known.begun_s if known is not None and goes_on else time.time()
    _refuse_rival(plan, begun_s if goes_on else None, fleet)
    wire.publish(*announced(plan, begun_s, is_over=False), retain=True)
    wire.settle()
    _stand(plan, begun_s, fleet, wire)
    return begun_s


def _stand(plan: Plan, begun_s: float, fleet: Fleet, wire: Wire) -> None:
    """Look whether the rollout still stands. Raises ConfigError, after taking the announcement back, when another one was begun before."""
    try:
        _refuse_rival(plan, begun_s, fleet)
    except ConfigError:
        wire.publish(topic_of(plan.name), b"", retain=True)
        raise


def _refuse_rival(plan: Plan, begun_s: float | None, fleet: Fleet) -> None:
    found = rival(plan, begun_s, list(fleet.announced.values()), fleet.told, fleet.groups())
    if found is None:
        return
    other, boxes = found
    more = f" and {len(boxes) - 1} more" if len(boxes) > 1 else ""
    message = (
        f"cannot roll {plan.name} out: {other.name} rolls {other.model} out to {boxes[0]}{more}, expected it to be over"
    )
    raise ConfigError(message, remedy=f"wait for it, or end it: edgectl fleet abort {other.name}")


def _decided(plan: Plan, fleet: Fleet, now_s: float) -> Decision:
    boxes = fleet.boxes(plan)
    stages = stages_of({name: box.profile for name, box in boxes.items()}, plan.stage, plan.name)
    told = fleet.told.get(plan.name)
    return decide(plan, stages, boxes, now_s, None if told is Status.RUNNING else told)


def _follow(
    plan: Plan, fleet: Fleet, step: Callable[[float], Decision], every_s: float, *, once: bool, as_json: bool
) -> None:
    """Step and show until it is over. Raises ConfigError, status 2, for an empty fleet; ends with 1 when it was aborted."""
    if not fleet.boxes(plan):
        message = f"cannot roll {plan.name} out: the broker retains no box that it is for, expected some"
        raise ConfigError(message, remedy="edgectl fleet list names those that are known")
    page = screen.console()
    with Live(console=page, auto_refresh=False, transient=False) as live:
        while True:
            now_s = time.time()
            decision = step(now_s)
            if as_json:
                sys.stdout.write(json.dumps(_document(plan, decision)) + "\n")
                sys.stdout.flush()
            elif page.is_terminal:
                live.update(_screen(plan, fleet, decision, now_s), refresh=True)
            else:
                page.print(screen.line(plan, fleet.boxes(plan), decision, now_s))
            if once or decision.status in OVER:
                break
            time.sleep(every_s)
    if decision.status is Status.ABORTED:
        raise typer.Exit(1)


def _screen(plan: Plan, fleet: Fleet, decision: Decision, now_s: float) -> Any:
    boxes = fleet.boxes(plan)
    stages = stages_of({name: box.profile for name, box in boxes.items()}, plan.stage, plan.name)
    return screen.rollout(plan, stages, boxes, decision, now_s)


def _document(plan: Plan, decision: Decision) -> dict[str, Any]:
    return {
        "schema": "edged.rollout-state/1",
        "rollout": plan.name,
        "state": decision.status.value,
        "stage": plan.stage[decision.stage].name,
        "reason": decision.reason,
        "sent": len(decision.send),
        "revoked": len(decision.revoke),
    }


def _tell(name: str, status: Status, config: Path) -> None:
    settings = read_settings(config)
    by = settings.repository.by if settings.repository else ""
    with Wire(settings, (), lambda _topic, _payload: None) as wire:
        topic, payload = tell(name, status, by, time.time())
        wire.publish(topic, payload, retain=True)
    carried = (
        "; `edgectl fleet rollout FILE` takes back what is not committed, if it is not running"
        if status is Status.ABORTED
        else ""
    )
    sys.stdout.write(f"{name}: {status.value}{carried}\n")
