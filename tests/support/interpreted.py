"""Triton kernels without a GPU: tests that run in Triton's interpreter, beside tests that compile.

Triton reads ``TRITON_INTERPRET`` when it is imported, and then every kernel of the process is interpreted and none can be
compiled. So a test file of kernels is two processes: pytest's own, where kernels compile ahead of time, and one child per file,
which runs that file's interpreted tests once, all of them. In the file::

    from interpreted import DEVICE, compiled, interpreted

    @interpreted
    @pytest.mark.parametrize(...)
    def test_adain_matches_the_reference(...):
        x = torch.randn(2, 3, 5, 7, device=DEVICE)   # cpu in the interpreter
        ...

    @compiled
    def test_adain_compiles(...): ...

The decorated test runs in the child; in pytest's own process it reports what became of it there. Where there is a GPU, it runs
on that, in pytest's own process, and there is no child. Debug one test without the child:
``TRITON_INTERPRET=1 pytest tests/operations/test_triton_adain.py -k name`` runs interpreted tests in place and leaves
out the compiled ones.

Limits of the interpreter: ``tl.dot`` of bfloat16 is wrong in it; other bfloat16 is right, but cut off and not rounded; every
``tl.dot`` is computed in full precision whatever ``input_precision`` says; a program takes milliseconds, so use tiny shapes.
"""

from __future__ import annotations

import functools
import inspect
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

pytest.importorskip("triton")  # whoever imports this file tests nothing without it
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
"""Whether this is a process in which kernels are interpreted."""
DEVICE = "cuda" if torch.cuda.is_available() and not INTERPRETED else "cpu"
"""Where the tensors of an interpreted test belong."""

if INTERPRETED:
    from triton.runtime import interpreter

    patch_language = interpreter._patch_lang
    patched: set[Any] = set()

    class Launch(interpreter._LangPatchScope):
        """What a launch has replaced in Triton's language; ends with the launch."""

        def restore(self) -> None:
            super().restore()
            patched.clear()

    def patch_once_a_launch(function: Any) -> Any:
        """Triton replaces its language's functions, hundreds, again at every call of a helper: half of the time of a test."""
        scope = Launch()
        file = function.__globals__["__name__"]
        if file not in patched:
            scope._changes = patch_language(function)._changes
            patched.add(file)
        return scope

    interpreter._patch_lang = patch_once_a_launch
    numpy_type = functools.cache(interpreter._get_np_dtype)
    # It makes a table at every call. Blocks and pointers cannot be remembered; a block's numbers have the type of one.
    interpreter._get_np_dtype = lambda dtype: np.dtype(np.uint64) if dtype.scalar.is_ptr() else numpy_type(dtype.scalar)

compiled = pytest.mark.skipif(INTERPRETED, reason="no kernel compiles in a process that interprets them")


def interpreted(test: Callable[..., None]) -> Callable[..., None]:
    """Have ``test`` run in the interpreter; it may be parametrised, but its fixtures are made in both processes."""
    test.interpreted = True  # what `-k interpreted` of the child finds
    if INTERPRETED or DEVICE == "cuda":
        return test
    path = inspect.getfile(test)

    @functools.wraps(test)
    def report(*_args: Any, **_kwargs: Any) -> None:
        node = os.environ["PYTEST_CURRENT_TEST"].rpartition(" ")[0]
        kind, text = outcomes(path)[node.rpartition("::")[2]]
        if kind == "skipped":
            pytest.skip(text)
        if kind != "passed":
            pytest.fail(f"in the interpreter:\n{text}", pytrace=False)

    return report


@functools.cache
def outcomes(path: str) -> dict[str, tuple[str, str]]:
    """By name, every interpreted test of the file ``path``: passed, failure, error or skipped, and what pytest says of it."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", path, "-k", "interpreted", "-q", "-p", "no:cacheprovider"]
        environment = os.environ | {"TRITON_INTERPRET": "1"}
        environment.pop("PYTEST_ADDOPTS", None)
        done = subprocess.run(
            [*command, f"--junitxml={report}"], env=environment, capture_output=True, text=True, timeout=600, check=False
        )
        if not report.exists():
            pytest.fail(f"the interpreting process broke off:\n{done.stdout}{done.stderr}", pytrace=False)
        # The tree is the child's own report, not foreign data.
        cases = ElementTree.parse(report).getroot().iter("testcase")
        return {case.attrib["name"]: outcome(case) for case in cases}


def outcome(case: ElementTree.Element) -> tuple[str, str]:
    for kind in ("failure", "error", "skipped"):
        found = case.find(kind)
        if found is not None:
            return kind, (found.text or "") if kind != "skipped" else found.attrib.get("message", "")
    return "passed", ""


def assert_near(mine: torch.Tensor, exact: torch.Tensor, terms: int, scale: float = 0, rounding: float = 0) -> None:
    """``mine``, made of sums of ``terms`` numbers in float32, against ``exact``, which is float64.

    The bound: 4 eps sqrt(terms) of the largest value, or of ``scale`` where larger values cancel, and a step of ``mine``'s own
    type. It would be half a step if the interpreter rounded bfloat16. ``rounding`` is that of factors, relative to the largest
    value: 2^-12 for TF32.
    """
    scale = max(scale, exact.abs().max().item())
    error = (mine.cpu().double() - exact).abs()
    bound = (4 * torch.finfo(torch.float32).eps * terms**0.5 + rounding) * scale
    if mine.dtype != torch.float32:
        bound = bound + torch.finfo(mine.dtype).eps * exact.abs() + torch.finfo(mine.dtype).smallest_normal
    worst = (error - bound).max()
    assert worst <= 0, f"error {error.flatten()[(error - bound).argmax()]:.3g}, largest value {scale:.3g}"
