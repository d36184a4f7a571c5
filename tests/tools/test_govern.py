"""The governor on the shipped scenarios: it holds still long enough, spares the most important pipeline, and gives everything back."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest

from edgectl.cli import main
from edgectl.govern import lines
from edgectl.scenario import Scenario, read_scenario
from edgectl.simulation import Second, simulate
from edged.control.governor import CALM_S, Step
from edged.control.pressure import SETTLE_S
from edged.control.steps import CRITICAL, KINDS
from edged.domain.errors import ConfigError

SCENARIOS = sorted((Path(__file__).resolve().parents[2] / "docs" / "scenarios").glob("*.toml"))
HEAT_WAVE = next(file for file in SCENARIOS if file.stem == "heat-wave")


@pytest.fixture(params=SCENARIOS, ids=lambda file: file.stem)
def scenario(request: pytest.FixtureRequest) -> Scenario:
    return read_scenario(request.param)


def steps(run: list[Second]) -> list[tuple[int, Step]]:
    return [(second.at_s, second.step) for second in run if second.step is not None]


def test_every_scenario_makes_it_act(scenario: Scenario) -> None:
    assert steps(simulate(scenario))


def test_it_never_swings_faster_than_the_hold_times(scenario: Scenario) -> None:
    taken = steps(simulate(scenario))

    for (before_s, before), (after_s, after) in pairwise(taken):
        if not after.is_down:
            assert after_s - before_s >= CALM_S
        elif before.is_down and after.why.level < CRITICAL:
            assert after_s - before_s >= SETTLE_S


def test_the_most_important_pipeline_is_the_last_to_suffer(scenario: Scenario) -> None:
    first, *others = sorted(scenario.pipeline, key=lambda one: -one.priority)
    stands: dict[tuple[str, str], int] = {}
    for _, step in steps(simulate(scenario)):
        stands[step.pipeline, step.kind] = step.after
        for other in others:
            for kind in KINDS:
                could = min(other.reach.get(kind, 0), stands.get((first.name, kind), 0))
                assert stands.get((other.name, kind), 0) >= could, step
    assert (first.name, "pause") not in stands


def test_after_calm_everything_is_as_it_was(scenario: Scenario) -> None:
    assert set(simulate(scenario)[-1].rungs.values()) == {0}


def test_the_same_scenario_gives_the_same_run(scenario: Scenario) -> None:
    assert simulate(scenario) == simulate(scenario)


def test_the_heat_wave_passes_below_the_limit_that_it_would_have_reached() -> None:
    scenario = read_scenario(HEAT_WAVE)
    run = simulate(scenario)

    assert max(scenario.value("temperature_c", second.at_s) or 0.0 for second in run) > scenario.hard_c
    assert max(second.temperature_c or 0.0 for second in run) < scenario.soft_c + 2


def test_spikes_of_a_second_change_nothing() -> None:
    scenario = read_scenario(HEAT_WAVE.with_name("flapping-sensor.toml"))

    assert steps(simulate(scenario))[0][0] >= 540  # before the first value that lasts


def test_memory_that_is_near_its_limit_all_day_holds_up_only_what_frees_some() -> None:
    taken = steps(simulate(read_scenario(HEAT_WAVE.with_name("scarce-memory.toml"))))

    up = {step.kind: at_s for at_s, step in taken if not step.is_down}  # the last of each kind
    assert {step.kind for _, step in taken if step.is_down} == {"gate", "rate", "variant", "pause"}
    assert max(up["gate"], up["rate"]) < 1100
    assert min(up["variant"], up["pause"]) > max(up["gate"], up["rate"]) + 10 * CALM_S


def test_a_run_is_listed_step_by_step_and_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "run.png"

    assert main(["govern", "simulate", str(HEAT_WAVE), "--plot", str(picture)]) == 0

    out = capsys.readouterr().out
    assert "bins         less  gate     1  pressed: " in out
    assert "at the end all is as it was" in out
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_run_that_ends_too_early_says_what_stands() -> None:
    run = simulate(read_scenario(HEAT_WAVE))

    assert lines(run[:600])[-1].endswith("stand")


def test_as_a_document_it_has_every_second(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["govern", "simulate", str(HEAT_WAVE), "--json"]) == 0

    told = json.loads(capsys.readouterr().out)
    assert (told["schema"], told["scenario"]) == ("edged.govern/1", "heat-wave")
    assert len(told["seconds"]) == read_scenario(HEAT_WAVE).seconds
    assert next(one["step"]["kind"] for one in told["seconds"] if one["step"]) == "gate"


def test_a_picture_that_cannot_be_written_is_a_wrong_request(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["govern", "simulate", str(HEAT_WAVE), "--plot", str(tmp_path / "run.nothing")]) == 2
    assert "expected the name of a picture" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('name = "x"\nseconds = 0\n', "seconds"),
        ('name = "x"\nseconds = 9\n', "pipeline"),
        ('name = "x"\nseconds = 9\nrecorded = "gone.csv"\n{pipeline}', "cannot read recording"),
        ('name = "x"\nseconds = 9\nrecorded = "odd.csv"\n{pipeline}', "its columns are time_s, speed"),
        (
            'name = "x"\nseconds = 9\nreadings = {{ temperature_c = [[9, 1], [3, 1]] }}\n{pipeline}',
            "its times step back",
        ),
    ],
)
def test_a_scenario_that_cannot_be_used_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "odd.csv").write_text("time_s,speed\n0,1\n", "utf-8")
    pipeline = '[[pipeline]]\nname = "a"\nreach = {{ gate = 1 }}\nlatency_ms = 5.0\n'
    file = tmp_path / "x.toml"
    file.write_text(text.format(pipeline=pipeline.format()), "utf-8")

    with pytest.raises(ConfigError, match=complaint):
        read_scenario(file)


def test_a_recorded_value_holds_until_the_next_one(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("time_s,temperature_c\n0,50\n10,60\n", "utf-8")
    scenario = replace_recording(read_scenario(HEAT_WAVE), tmp_path)

    assert [scenario.value("temperature_c", at_s) for at_s in (0, 9, 10, 99)] == [50, 50, 60, 60]


def replace_recording(scenario: Scenario, folder: Path) -> Scenario:
    """Write a scenario that takes ``r.csv``."""
    (folder / "s.toml").write_text(
        'name = "s"\nseconds = 99\nrecorded = "r.csv"\n'
        f'[[pipeline]]\nname = "{scenario.pipeline[0].name}"\nreach = {{ gate = 1 }}\nlatency_ms = 5.0\n',
        "utf-8",
    )
    return read_scenario(folder / "s.toml")


def test_an_accelerator_that_is_hot_counts() -> None:
    scenario = read_scenario(HEAT_WAVE).model_copy(
        update={"readings": {"accelerator_c": ((0.0, 74.0),)}, "seconds": 30}
    )

    assert {step.why.cause for _, step in steps(simulate(scenario))} == {"accelerator-temperature"}
    assert simulate(scenario)[0].temperature_c is None
