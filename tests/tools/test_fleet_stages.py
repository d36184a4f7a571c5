"""Which box is in which stage."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edgectl.fleet.plan import Stage
from edgectl.fleet.stages import stages_of

STAGES = (
    Stage(name="canary", share=0.01, at_least=3),
    Stage(name="few", share=0.1),
    Stage(name="all", share=1.0),
)
FLEET = {f"box-{number:03}": "raspberry-pi-5" if number % 10 else "jetson-nano" for number in range(1000)}
fleets = st.dictionaries(st.text("abc0", min_size=1, max_size=6), st.sampled_from(["pi", "jetson", "x86"]), max_size=60)


def test_each_stage_holds_its_share_of_each_profile() -> None:
    sizes = [
        [sum(FLEET[box] == profile for box in stage) for stage in stages_of(FLEET, STAGES, "autumn")]
        for profile in ("raspberry-pi-5", "jetson-nano")
    ]
    assert sizes == [[9, 81, 810], [1, 9, 90]]


def test_a_hardware_class_of_one_box_meets_the_canary() -> None:
    assert "odd" in stages_of({**FLEET, "odd": "imx8"}, STAGES, "autumn")[0]


def test_a_small_fleet_has_at_least_so_many_canaries() -> None:
    fleet = {f"box-{number}": "pi" for number in range(30)}
    assert [len(stage) for stage in stages_of(fleet, STAGES, "autumn")] == [3, 0, 27]


def test_another_rollout_draws_other_boxes_and_the_same_one_the_same() -> None:
    assert stages_of(FLEET, STAGES, "autumn") == stages_of(dict(reversed(FLEET.items())), STAGES, "autumn")
    assert stages_of(FLEET, STAGES, "autumn")[0] != stages_of(FLEET, STAGES, "winter")[0]


def test_a_fleet_of_none_has_empty_stages() -> None:
    assert stages_of({}, STAGES, "autumn") == ((), (), ())


@given(fleets)
def test_every_box_is_in_exactly_one_stage(fleet: dict[str, str]) -> None:
    assert sorted(box for stage in stages_of(fleet, STAGES, "autumn") for box in stage) == sorted(fleet)
