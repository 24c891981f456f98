"""What the compiled library is handed is checked before it is touched, and one table says which variant runs."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
import torch
from paths import RUNNABLE, answer, on_path
from torch import Tensor

from fastnst import _engine, ops

X = torch.ones(2, 3, 4, 5)
G = torch.zeros(2, 3, 3)
S = torch.zeros(2, 3, 1, 1)
SIZES = (2, 3, 1, 4, 1, 4, 0, 1)
ITEMS, OUT, WORK = torch.ones(2, 1, 3, 4), torch.zeros(2, 3, 3), torch.zeros(1 << 16)
WIDE = torch.zeros(2, 3, 3, dtype=torch.float64)

BAD: list[tuple[str, Any, type[Exception], str]] = [
    (
        "another type",
        lambda: _engine.perceptual_gram(X, G.double(), 1),
        TypeError,
        "gram: expected float32, got float64 [2, 3, 3] on the CPU",
    ),
    (
        "a map of another type",
        lambda: _engine.perceptual_gram(X.double(), G, 1),
        TypeError,
        "x: expected float32, bfloat16 or float16, got float64",
    ),
    (
        "maps of two types",
        lambda: _engine.perceptual_error(X, X.half(), True, 1),
        TypeError,
        "y: expected float32, got float16",
    ),
    (
        "another device",
        lambda: _engine.perceptual_gram(X, G.to("meta"), 1),
        ValueError,
        "gram: expected at least 18 values side by side on the CPU, got float32 [2, 3, 3] on meta",
    ),
    (
        "a map elsewhere",
        lambda: _engine.perceptual_gram(X.to("meta"), G, 1),
        ValueError,
        "x: expected a dense map on the CPU, got float32 [2, 3, 4, 5] on meta",
    ),
    (
        "too few elements",
        lambda: _engine.perceptual_gram(X, G[:1], 1),
        ValueError,
        "gram: expected at least 18 values side by side on the CPU, got float32 [1, 3, 3]",
    ),
    (
        "gaps",
        lambda: _engine.perceptual_gram(X[..., ::2], G, 1),
        ValueError,
        "x: expected a dense map on the CPU, got float32 [2, 3, 4, 3] of strides [60, 20, 5, 2]",
    ),
    (
        "a transposed result",
        lambda: _engine.perceptual_gram(X, torch.zeros(3, 3, 2).mT, 1),
        ValueError,
        "gram: expected at least 18 values side by side",
    ),
    (
        "another layout",
        lambda: _engine.perceptual_error(X, X.contiguous(memory_format=torch.channels_last), True, 1),
        ValueError,
        "that lies as float32 [2, 3, 4, 5] on the CPU does, got float32 [2, 3, 4, 5] in channels_last",
    ),
    (
        "another size",
        lambda: _engine.perceptual_error(X, X[:1], True, 1),
        ValueError,
        "y: expected a map on the CPU that lies as",
    ),
    (
        "statistics",
        lambda: _engine.adain_channel_stats(X, 0.0, S, S[:, :2].contiguous(), 1),
        ValueError,
        "std: expected at least 6 values",
    ),
    (
        "an output of another type",
        lambda: _engine.adain_apply(X, S, S, 0.0, X.bfloat16(), S, S, 1),
        TypeError,
        "out: expected float32, got bfloat16",
    ),
    (
        "a set of few",
        lambda: _engine.relation_pairwise(ITEMS[:1], SIZES, False, 1e-12, OUT, 1, WORK),
        ValueError,
        "student: expected at least 24 values",
    ),
    (
        "little scratch",
        lambda: _engine.relation_pairwise(ITEMS, SIZES, False, 1e-12, OUT, 1, WORK[:8]),
        ValueError,
        "scratch: expected at least",
    ),
    (
        "little room",
        lambda: _engine.relation_pairwise(ITEMS, SIZES, False, 1e-12, OUT[:1], 1, WORK),
        ValueError,
        "out: expected at least 18 values",
    ),
    (
        "a narrow matrix",
        lambda: _engine.perceptual_mix(torch.zeros(2, 3, 2), X, X, 1),
        ValueError,
        "matrix: expected rows that are long enough",
    ),
    (
        "means in float32",
        lambda: _engine.wct_means(X.flatten(2), torch.zeros(2, 3), 1),
        TypeError,
        "mean: expected float64, got float32",
    ),
    (
        "products",
        lambda: _engine.wct_products(X.flatten(2), None, None, None, 1.0, WIDE[:1], 1),
        ValueError,
        "product: expected at least 18 values",
    ),
    (
        "gradients of float64",
        lambda: _engine.embedding_loss(
            X, X, torch.zeros(3, 8), torch.zeros(3), (X, torch.zeros(3, 3).double(), torch.zeros(3)), 1
        ),
        TypeError,
        "weight_gradient: expected float32, got float64",
    ),
    (
        "two channels",
        lambda: _engine.color_moments(X[:, :2].contiguous(), WIDE, WIDE, 1),
        ValueError,
        "x: expected [N, 3, H, W]",
    ),
    ("moments in float32", lambda: _engine.color_moments(X, S, WIDE, 1), TypeError, "mean: expected float64, got float32"),
    (
        "a covariance of one",
        lambda: _engine.color_moments(X, WIDE, WIDE[:1], 1),
        ValueError,
        "covariance: expected at least 18 values",
    ),
    (
        "a gradient of another size",
        lambda: _engine.color_products(X[:1], X, WIDE, WIDE, WIDE, 1),
        ValueError,
        "grad: expected a map on the CPU that lies as",
    ),
    (
        "a term of another type",
        lambda: _engine.color_sweep((X, G, S), (X.half(), G, S), S, X, 1),
        TypeError,
        "x: expected float32, got float16",
    ),
    (
        "a matrix of one",
        lambda: _engine.color_sweep((X, G[:1], S), None, S, X, 1),
        ValueError,
        "matrix: expected at least 18 values",
    ),
    ("no tensor", lambda: _engine.perceptual_gram(X.data_ptr(), G, 1), TypeError, "incompatible function arguments"),
]


@pytest.mark.parametrize(("call", "error", "message"), [pytest.param(*each[1:], id=each[0]) for each in BAD])
def test_what_does_not_fit_is_refused(call: Any, error: type[Exception], message: str) -> None:
    before = [x.clone() for x in (X, G, S, OUT)]
    with pytest.raises(error) as caught:
        call()
    assert message in str(caught.value)
    assert all(torch.equal(x, y) for x, y in zip(before, (X, G, S, OUT), strict=True))


def test_what_fits_is_taken() -> None:
    gram: Tensor = torch.empty(2, 3, 3)
    _engine.perceptual_gram(X, gram, 1)
    assert torch.equal(gram, torch.full((2, 3, 3), 20 / 60))


def variant() -> str:
    """Of the operations, once one has run."""
    ops.gram_matrix(torch.ones(1, 2, 3, 3))
    return _engine.operations_variant()


def main(whom: str) -> None:
    sys.stdout.write(_engine.instruction_set() if whom == "engine" else variant())


def ask(whom: str, isa: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"FASTNST_ISA": isa, "TRITON_INTERPRET": "0"}
    return subprocess.run([sys.executable, __file__, whom], env=environment, capture_output=True, text=True, check=False)


def test_an_unknown_instruction_set_is_one_error_for_engine_and_operations() -> None:
    errors = [ask(whom, "foo").stderr.splitlines()[-1] for whom in ("engine", "operations")]
    assert errors[0] == errors[1]
    assert errors[0].startswith("RuntimeError: FASTNST_ISA=foo cannot run on this processor; it can run ")


CHOSEN = {"amx": "avx512", "avx512vnni": "avx512", "avx512": "avx512", "avxvnni": "avx2", "avx2": "avx2", "ssse3": "baseline",
          "neondot": "baseline", "neon": "baseline", "scalar": "baseline"}  # fmt: skip


@pytest.mark.parametrize("isa", RUNNABLE)
def test_every_instruction_set_chooses_a_variant_of_the_operations(isa: str) -> None:
    assert on_path(isa, __file__) == CHOSEN[isa]


@pytest.mark.parametrize("whom", ["engine", "operations"])
def test_an_instruction_set_without_kernels_of_its_own_is_one_all_the_same(whom: str) -> None:
    """AVX-512 without VNNI: the operations have code for it, the engine runs that of AVX2."""
    if "avx512" not in RUNNABLE:
        pytest.skip("a processor without AVX-512")
    assert ask(whom, "avx512").stdout == "avx512"


if __name__ == "__main__":
    if sys.argv[1:]:
        main(*sys.argv[1:])
    else:
        answer(variant)
