"""Work in a process of its own, which takes with it whatever it loaded."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import ParamSpec, TypeVar

Given = ParamSpec("Given")
Got = TypeVar("Got")


def apart(work: Callable[Given, Got], *args: Given.args, **kwargs: Given.kwargs) -> Got:
    """Give what ``work`` gives; it must be a module's function, with values that can be pickled."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(work, *args, **kwargs).result()
