"""``edgectl fleet simulate``: a rollout through boxes that are simulated, on a real broker."""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from edgectl.fleet.simulate.plot import plot as draw
from edgectl.fleet.simulate.result import Result
from edgectl.fleet.simulate.run import simulate
from edgectl.fleet.simulate.script import Shares, Terms
from edged.domain.errors import ConfigError

DEFAULT = Shares()


def simulate_fleet(
    *,
    devices: Annotated[int, typer.Option(help="How many boxes.")] = 100,
    fails_trial: Annotated[
        float, typer.Option(help="Share of boxes, 0 to 1, whose trial fails.")
    ] = DEFAULT.fails_trial,
    rolls_back: Annotated[float, typer.Option(help="Share that rolls back in probation.")] = DEFAULT.rolls_back,
    goes_offline: Annotated[
        float, typer.Option(help="Share whose connection breaks as the order comes.")
    ] = DEFAULT.goes_offline,
    answers_late: Annotated[float, typer.Option(help="Share that takes its order up late.")] = DEFAULT.answers_late,
    seed: Annotated[int, typer.Option(help="Another one gives the roles to other boxes.")] = 0,
    restart: Annotated[bool, typer.Option(help="Restart the broker while the boxes are at it.")] = True,
    nats: Annotated[
        bool,
        typer.Option("--nats", help="Through a cluster of three NATS nodes; one is killed in place of the restart."),
    ] = False,
    timeout_s: Annotated[float, typer.Option(help="When it is given up.")] = 600.0,
    plot: Annotated[Path | None, typer.Option(help="Write a picture of the states over time here.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
) -> None:
    """Roll a release out to simulated boxes. Ends with 1 when a box ends otherwise than its role has it, or not in time."""
    try:
        shares = Shares(fails_trial, rolls_back, goes_offline, answers_late)
        terms = Terms(devices, shares, seed, is_clustered=nats, restarts_broker=restart, timeout_s=timeout_s)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    result = simulate(terms)
    if plot is not None:
        draw(result, plot)
    sys.stdout.write(json.dumps(document(result), indent=1) + "\n" if as_json else text(result))
    if result.converged_s is None or result.astray or result.lost:
        raise typer.Exit(1)


def document(result: Result) -> dict[str, Any]:
    """Write a result as JSON."""
    devices, sent, received = result.terms.devices, result.sent, result.received
    return {
        "schema": "edged.fleet-simulation/1",
        "devices": devices,
        "seed": result.terms.seed,
        "shares": asdict(result.terms.shares),
        "converged_s": _rounded(result.converged_s),
        "ends": _counted(result),
        "astray": {name: end.value for name, end in sorted(result.astray.items())},
        "per_device": {
            "messages_sent": round(sent.messages / devices, 1),
            "bytes_sent": round(sent.payload_bytes / devices),
            "messages_received": round(received.messages / devices, 1),
            "bytes_received": round(received.payload_bytes / devices),
            "memory_kb": round(result.memory_kb),
        },
        "restart": {
            "at_s": _rounded(result.restarted_s),
            "gone_s": _rounded(result.gone_s),
            "back": len(result.back_s),
            "what": "node killed" if result.terms.is_clustered else "broker restarted",
            "last_s": _rounded(max(result.back_s, default=None)),
            "most_in_100_ms": result.herd,
        },
        "transitions": {"acknowledged": result.acknowledged, "lost": result.lost},
        "looks": [{"at_s": round(look.at_s, 2), **look.counts, "online": look.online} for look in result.looks],
    }


def text(result: Result) -> str:
    """Say the same for people."""
    told = document(result)
    each = told["per_device"]
    ends = ", ".join(f"{count} {end}" for end, count in told["ends"].items())
    whole = f"converged in {told['converged_s']} s" if result.converged_s is not None else "did not converge in time"
    lines = [
        f"{told['devices']} boxes {whole}: {ends}",
        f"each sent {each['messages_sent']:g} messages, {each['bytes_sent']} bytes",
        f"each received {each['messages_received']:g} messages, {each['bytes_received']} bytes",
        f"each took {each['memory_kb']} KiB of this process's memory",
    ]
    back = told["restart"]
    if back["at_s"] is not None:
        lines += [
            f"{back['what']} at {back['at_s']} s" + (f", gone for {back['gone_s']} s" if back["gone_s"] else ""),
            f"{back['back']} connections since, the last after {back['last_s']} s",
            f"at most {back['most_in_100_ms']} of them in a tenth of a second",
        ]
    lines.append(f"{result.lost} of {result.acknowledged} transitions lost that the broker had taken")
    lines += [
        f"ASTRAY: {name} ({result.roles[name].value}) is {end.value}" for name, end in sorted(result.astray.items())
    ]
    return "\n".join(lines) + "\n"


def _counted(result: Result) -> dict[str, int]:
    return dict(sorted(Counter(end.value for end in result.ends.values()).items()))


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 2)
