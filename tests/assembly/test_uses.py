"""What a trial has to try: each way in which the configuration uses a model."""

from __future__ import annotations

from pathlib import Path

from edged.assembly.uses import Use, uses_of
from edged.config.load import load
from edged.config.schema import Config, Objective

BOX = """\
[[source]]
name = "bench"
kind = "csv"
path = "bench.csv"
columns = ["x"]
rate_hz = 1000
"""


def configuration(tmp_path: Path, *pipelines: str, more: str = "") -> Config:
    (tmp_path / "bench.csv").write_text("x\n1\n", "utf-8")
    text = "".join(f'[[pipeline]]\nname = "p{index}"\nsource = "bench"\n{one}\n' for index, one in enumerate(pipelines))
    file = tmp_path / "edged.toml"
    file.write_text(f"{more}{BOX}{text}", "utf-8")
    return load(file).config


def met(_pin: str | None, _objective: Objective) -> bool:
    return True


def test_each_pin_and_objective_is_a_use_the_most_important_first(tmp_path: Path) -> None:
    config = configuration(
        tmp_path,
        'model = "level"',
        'model = "level"\npin = "int8"\npriority = 5',
        'model = "level"\nobjective = { latency_ms = 20, prefer = "latency" }',
        'model = "level"\npriority = -1',
        'model = "other"\npin = "fp16"',
    )

    assert uses_of(config, "level", met) == (
        Use("int8", Objective()),
        Use(None, Objective()),
        Use(None, Objective(latency_ms=20, prefer="latency"), 20),
    )


def test_a_model_that_no_pipeline_names_is_tried_as_usual(tmp_path: Path) -> None:
    assert uses_of(configuration(tmp_path), "level", met) == (Use(),)


def test_one_that_answers_requests_is_tried_for_them_too(tmp_path: Path) -> None:
    config = configuration(tmp_path, 'model = "level"\npin = "int8"', more='[serving]\nmodels = ["level"]\n')

    assert uses_of(config, "level", met) == (Use("int8", Objective()), Use())


def test_where_what_runs_is_late_already_the_next_release_need_not_be_in_time(tmp_path: Path) -> None:
    config = configuration(tmp_path, 'model = "level"\nobjective = { latency_ms = 20 }')

    assert uses_of(config, "level", lambda _pin, _objective: False)[0].latency_ms is None
