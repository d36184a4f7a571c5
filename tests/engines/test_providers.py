from __future__ import annotations

from pathlib import Path

import pytest

from edged.control.possible import ACCELERATOR_HARDWARE, DRIVEN_BY
from edged.engines.providers import BUILT, EXTRAS, NAMES, PACKAGES, Provider, Setting, providers


def test_the_processor_has_no_options() -> None:
    assert providers("cpu", Setting()) == (Provider("CPUExecutionProvider", {}),)


def test_tensorrt_keeps_its_engine_where_it_is_told_and_leaves_the_rest_to_cuda() -> None:
    first, second = providers("tensorrt", Setting("fp16", cache=Path("/state/engines/x")))
    assert (first.name, second.name) == ("TensorrtExecutionProvider", "CUDAExecutionProvider")
    assert first.options == {
        "trt_fp16_enable": "1",
        "trt_int8_enable": "0",
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": "/state/engines/x",
    }


@pytest.mark.parametrize(("precision", "flags"), [("fp32", "00"), ("fp16", "10"), ("int8", "01")])
def test_precision_is_the_variants(precision: str, flags: str) -> None:
    options = providers("tensorrt", Setting(precision))[0].options
    assert options["trt_fp16_enable"] + options["trt_int8_enable"] == flags


def test_a_memory_that_is_shared_bounds_the_arena_and_another_does_not() -> None:
    assert providers("cuda", Setting(room_mb=100.5))[0].options["gpu_mem_limit"] == "105381888"
    assert providers("tensorrt", Setting(room_mb=1.0))[0].options["trt_max_workspace_size"] == str(64 * 2**20)
    assert providers("cuda", Setting())[0].options == {
        "arena_extend_strategy": "kSameAsRequested",
        "cudnn_conv_algo_search": "HEURISTIC",
    }


@pytest.mark.parametrize(
    ("accelerator", "expected"),
    [
        ("openvino", {"device_type": "GPU", "cache_dir": "/c"}),
        ("openvino-npu", {"device_type": "NPU", "cache_dir": "/c"}),
        ("openvino-cpu", {"device_type": "CPU", "cache_dir": "/c", "num_of_threads": "3"}),
    ],
)
def test_openvino_is_told_its_device(accelerator: str, expected: dict[str, str]) -> None:
    assert providers(accelerator, Setting(threads=3, cache=Path("/c")))[0].options == expected


def test_every_accelerator_of_onnx_has_providers_a_package_an_extra_and_hardware() -> None:
    onnx = {name for name, runtime in DRIVEN_BY.items() if runtime == "onnx"}
    assert NAMES.keys() - {"cpu"} == onnx == PACKAGES.keys()
    assert onnx <= ACCELERATOR_HARDWARE.keys()
    assert onnx > BUILT
    assert {package for packages in PACKAGES.values() for package in packages} == EXTRAS.keys()
