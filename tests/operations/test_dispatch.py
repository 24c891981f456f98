"""Which backend is chosen, what is said of the others, and that a forced one never gives way in silence."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from fastnst import dispatch, ops

X = torch.ones(1, 2, 3, 3)


def test_cpu_tensors_go_to_the_compiled_library() -> None:
    assert dispatch.choose("adain", X) == "cpu"
    assert dispatch.choose("adain", X.bfloat16()) == "cpu"


def test_float64_and_nothing_go_to_the_reference() -> None:
    assert dispatch.choose("adain", X.double()) == "reference"
    assert dispatch.choose("adain", X[:0]) == "reference"


def test_colours_of_three_channels_have_kernels_and_others_the_reference() -> None:
    source, target = torch.ones(2, 3, 4, 4), torch.ones(1, 3, 2, 2)
    assert dispatch.choose("color", source, target) == "cpu"
    assert dispatch.choose("color", source.double(), target.double()) == "reference"
    assert dispatch.choose("color", source[:, :2], target[:, :2]) == "reference"
    assert "cpu: it works on pictures of three channels alone, [N, 3, H, W]; " in ops.explain("color", source[:, :2])
    assert ops.color_transfer(source[:, :2], target[:, :2]).shape == (2, 2, 4, 4)
    with ops.backend("cpu"), pytest.raises(ops.BackendError, match="three channels alone"):
        ops.color_transfer(source[:, :2], target[:, :2])


def test_without_the_library_the_reference_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "HAS_LIBRARY", False)
    assert dispatch.choose("adain", X) == "reference"
    assert "the compiled library is not installed" in dispatch.explain("adain", X)


@pytest.mark.parametrize("name", ["triton", "cuda"])
def test_a_forced_backend_that_cannot_run_raises_and_says_which_would(name: str) -> None:
    with ops.backend(name), pytest.raises(ops.BackendError) as error:
        ops.mean_variance_norm(X)
    assert str(error.value).startswith(f"backend {name} cannot compute adain here: cpu: fits; ")
    assert "\n" not in str(error.value)


def test_a_forced_backend_holds_while_the_context_lasts() -> None:
    with ops.backend("reference"):
        assert dispatch.choose("adain", X) == "reference"
        with ops.backend("auto"):
            assert dispatch.choose("adain", X) == "cpu"
        assert dispatch.choose("adain", X) == "reference"
    with pytest.raises(KeyError), ops.backend("reference"):
        raise KeyError
    assert dispatch.choose("adain", X) == "cpu"


def test_unknown_names_are_refused() -> None:
    with (
        pytest.raises(ValueError, match=r"backend: expected one of auto, reference, cpu, triton, cuda, got 'gpu'"),
        ops.backend("gpu"),
    ):
        pass
    with pytest.raises(ValueError, match="stem: expected one of adain"):
        ops.explain("adian", X)


def test_explain_names_every_backend_in_order() -> None:
    said = [line.split(": ", 1) for line in ops.explain("adain", X.double()).split("; ")]
    assert [name for name, _ in said] == ["cpu", "triton", "reference", "cuda"]
    assert dict(said)["cpu"] == "it works in float32, bfloat16 and float16, not in float64"
    assert dict(said)["reference"] == "fits"


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
def test_a_compiled_function_follows_a_forced_backend() -> None:
    seen = []

    def watch(graph: torch.fx.GraphModule, _: object) -> object:
        seen.append("torch.ops.fastnst" in graph.print_readable(print_output=False))
        return graph.forward

    compiled = torch.compile(ops.mean_variance_norm, fullgraph=True, backend=watch)
    compiled(X)
    with ops.backend("reference"):
        compiled(X)
    assert seen == [True, False]


@pytest.mark.parametrize(("name", "status"), [("reference", "reference\n"), ("gpu", "")])
def test_the_environment_forces_a_backend(name: str, status: str) -> None:
    code = "import torch; from fastnst import dispatch; print(dispatch.choose('adain', torch.ones(1, 2, 3, 3)))"
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"FASTNST_BACKEND": name}, capture_output=True, text=True
    )
    assert done.stdout == status
    assert (done.returncode == 0) == bool(status)
