"""The server's rung among the box's own: who uses it, what its results say, and what happens without it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edged.assembly.box import Box, survey
from edged.assembly.going_live import digests_of
from edged.assembly.lost import Lost
from edged.assembly.models import Opened
from edged.assembly.supply import Supply
from edged.config.remote import Remote
from edged.config.schema import Objective
from edged.domain.errors import EngineLostError
from edged.domain.tensor import TensorSpec
from fakes.brokers import free_port
from fakes.clock import FakeClock
from fakes.sensor import LENGTH, sensor_bundle
from fakes.serving import FakeBrought, box, doubled, served

pytestmark = pytest.mark.slow

SHAPE = (1, LENGTH)
WINDOW = np.ones(SHAPE, np.float32)


@pytest.fixture
def port() -> Iterator[int]:
    """Give the port of a server that doubles what it is given, where the bundle's own model gives it back."""
    tensors = {"inputs": (TensorSpec("x", SHAPE, "float32"),), "outputs": (TensorSpec("y", SHAPE, "float32"),)}
    made = box(FakeBrought("twice", compute=doubled, **tensors)).loaded("twice")
    with served(made) as port:
        yield port
    made.handlers.shelf.close()


def supply(folder: Path, port: int, clock: FakeClock) -> Supply:
    sensor_bundle(folder / "models" / "level")
    remotes = {"level": Remote(url=f"http://127.0.0.1:{port}", model="twice", deadline_ms=2000)}
    here: Box = survey(Path("/"), "auto", ())
    engines = replace(here.engines, remotes=remotes, state=folder / "state")
    return Supply(
        (folder / "models",),
        folder / "state",
        replace(here, remotes=remotes, engines=engines, lost=Lost(clock)),
        clock,
    )


def answer(opened: Opened) -> float:
    return float(opened.model.engine.infer([WINDOW])[0][0, 0])


def test_a_pipeline_runs_on_the_server_and_its_results_say_so(tmp_path: Path, port: int) -> None:
    opened = supply(tmp_path, port, FakeClock()).open("level", None, objective=Objective())

    assert answer(opened) == 2
    ref = opened.model.ref
    assert (ref.variant, ref.accelerator, ref.runtime, ref.digest) == ("fp32", "remote", "remote", "remote:level")
    assert opened.passed_over == ""
    assert ref.digest in digests_of(opened.bundle)  # or no ordered release would ever be found to run
    opened.model.engine.close()


def test_requests_and_pinned_pipelines_stay_on_the_box(tmp_path: Path, port: int) -> None:
    made = supply(tmp_path, port, FakeClock())

    assert made.open("level", None).model.ref.accelerator == "cpu"
    assert made.open("level", "fp32", objective=Objective()).model.ref.accelerator == "cpu"


def test_a_server_that_is_not_there_is_passed_over_and_taken_back(tmp_path: Path, port: int) -> None:
    clock = FakeClock()
    made, objective = supply(tmp_path, free_port(), clock), Objective()

    stand_in = made.open("level", None, objective=objective)
    assert (answer(stand_in), stand_in.wanted) == (1, ("fp32", "remote", 1))
    assert "fp32 on remote: cannot use twice at 127.0.0.1" in stand_in.passed_over
    assert not made.is_due()
    made._box.engines.remotes["level"] = Remote(url=f"http://127.0.0.1:{port}", model="twice")
    clock.advance(3)
    assert made.is_due()
    whole = made.ladder(stand_in.bundle, None, objective)
    back, _ = made.better(stand_in.bundle, None, objective, whole.runnable[:1], whole)

    assert back is not None
    assert (answer(back), back.wanted) == (2, None)
    back.model.engine.close()


def test_a_loss_while_it_runs_asks_for_the_boxs_own_rung_at_once(tmp_path: Path, port: int) -> None:
    made, objective = supply(tmp_path, port, FakeClock()), Objective()
    opened = made.open("level", None, objective=objective)

    assert made.lost("level", None, objective, opened.rung, EngineLostError("cannot run it"))
    opened.model.engine.close()
    assert made.open("level", None, objective=objective).model.ref.accelerator == "cpu"
