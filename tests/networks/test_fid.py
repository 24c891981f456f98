"""Frechet and kernel inception distance: by hand, and what goes with the number."""

from __future__ import annotations

import json
from pathlib import Path

import inception_file
import pytest
import torch
from safetensors.torch import load_file, save_file

from fastnst.metrics.fid import features, frechet_distance, kernel_distance, realism, statistics
from fastnst.networks.inception import Inception


@pytest.fixture(scope="module")
def extractor(tmp_path_factory: pytest.TempPathFactory) -> Inception:
    return Inception(inception_file.write(tmp_path_factory.mktemp("weights") / "extractor.safetensors"))


def test_distance_of_normal_distributions_by_hand() -> None:
    """Where covariances share their axes, every axis adds the squared difference of means and of deviations."""
    torch.manual_seed(0)
    turn, _ = torch.linalg.qr(torch.randn(5, 5, dtype=torch.float64))
    means, deviations = torch.randn(2, 5, dtype=torch.float64), torch.rand(2, 5, dtype=torch.float64)
    deviations[0, 2] = 0  # singular
    first, second = ((m @ turn.T, turn * d**2 @ turn.T) for m, d in zip(means, deviations, strict=True))
    wanted = (means[0] - means[1]).square().sum() + (deviations[0] - deviations[1]).square().sum()
    assert frechet_distance(first, second) == pytest.approx(wanted.item(), rel=1e-6)
    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-6)


def test_distance_equals_the_root_of_the_product() -> None:
    torch.manual_seed(1)
    sets = [torch.randn(50, 6, dtype=torch.float64) @ torch.randn(6, 6, dtype=torch.float64) for _ in range(2)]
    (mean_a, cov_a), (mean_b, cov_b) = map(statistics, sets)
    root = torch.linalg.eigvals(cov_a @ cov_b).real.sqrt().sum()
    wanted = (mean_a - mean_b).square().sum() + cov_a.trace() + cov_b.trace() - 2 * root
    assert frechet_distance((mean_a, cov_a), (mean_b, cov_b)) == pytest.approx(wanted.item(), rel=1e-9)
    centred = sets[0] - sets[0].mean(0)
    torch.testing.assert_close(cov_a, centred.T @ centred / 49)


def test_fewer_pictures_than_dimensions() -> None:
    """A singular covariance adds nothing that is not there: the same numbers in a space of more dimensions."""
    torch.manual_seed(2)
    small = [torch.randn(5, 4, dtype=torch.float64) + i for i in range(2)]
    turn, _ = torch.linalg.qr(torch.randn(40, 40, dtype=torch.float64))
    large = [x @ turn[:4] for x in small]
    assert frechet_distance(*map(statistics, large)) == pytest.approx(frechet_distance(*map(statistics, small)), rel=1e-6)


def test_kernel_distance_equals_loops() -> None:
    torch.manual_seed(3)
    a, b = torch.randn(5, 3, dtype=torch.float64), torch.randn(4, 3, dtype=torch.float64) + 1

    def kernel(x: torch.Tensor, y: torch.Tensor) -> float:
        return (x.dot(y).item() / 3 + 1) ** 3

    within = [sum(kernel(x, y) for x in s for y in s if x is not y) / (len(s) * (len(s) - 1)) for s in (list(a), list(b))]
    across = sum(kernel(x, y) for x in a for y in b) / 20
    assert kernel_distance(a, b) == pytest.approx(sum(within) - 2 * across, rel=1e-12)


@pytest.mark.parametrize("dimension", inception_file.CHANNELS)
def test_features_tell_pictures_apart(extractor: Inception, dimension: int) -> None:
    torch.manual_seed(4)
    noise, flat = torch.rand(3, 3, 40, 48), torch.rand(3, 3, 1, 1).expand(3, 3, 40, 48)
    rows = features(extractor, [noise, flat], dimension)
    assert rows.shape == (6, inception_file.CHANNELS[dimension])
    assert rows.dtype == torch.float64
    assert torch.equal(rows[:3], features(extractor, [(noise * 255).round() / 255 + 1e-4], dimension))
    assert realism(extractor, rows[:3], rows[3:], "x").fid > 10 * realism(extractor, rows[:3], rows[:3], "x").fid + 1e-6


def test_maps_have_the_sizes_of_the_real_network(extractor: Inception) -> None:
    seen = {}
    original = extractor._conv

    def watched(name: str, *rest: object, **more: object) -> torch.Tensor:
        output = original(name, *rest, **more)  # type: ignore[arg-type]
        seen[name] = output.shape[2]
        return output

    extractor._conv = watched  # type: ignore[method-assign,assignment]
    try:
        extractor(torch.rand(1, 3, 8, 8), 768)
    finally:
        del extractor._conv
    assert [seen[f"Conv2d_{name}"] for name in ("1a_3x3", "2b_3x3", "4a_3x3")] == [149, 147, 71]
    assert {seen[name] for name in seen if name.startswith("Mixed_5")} == {35}
    assert {seen[name] for name in seen if name > "Mixed_6b"} == {17}


def test_the_protocol_stands_beside_the_number(extractor: Inception) -> None:
    rows = torch.rand(7, 64, dtype=torch.float64)
    figure = realism(extractor, rows, rows[:5], "test/")
    record = json.loads(json.dumps(figure.as_dict()))
    assert record["protocol"]["dimension"] == 64
    assert (record["protocol"]["real"], record["protocol"]["generated"]) == (7, 5)
    assert record["protocol"]["statistics"] == "test/"
    assert record["protocol"]["extractor"] == "extractor.safetensors"
    assert figure.label.startswith("FID-64 ")


def test_what_cannot_be_meant_is_refused(extractor: Inception, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="dimension: expected 64, 192, 768, got 2048"):
        extractor(torch.rand(1, 3, 8, 8), 2048)
    with pytest.raises(ValueError, match="at least two, got 1"):
        statistics(torch.rand(1, 4))
    with pytest.raises(ValueError, match="at least two of each kind, got 3 and 1"):
        kernel_distance(torch.rand(3, 4), torch.rand(1, 4))
    with pytest.raises(ValueError, match="at least one"):
        features(extractor, [], 64)
    tensors = load_file(extractor.path)
    save_file({k: v for k, v in tensors.items() if k != "Mixed_6e.branch_pool.weight"}, tmp_path / "cut.safetensors")
    with pytest.raises(ValueError, match=r"no tensor Mixed_6e\.branch_pool\.weight"):
        Inception(tmp_path / "cut.safetensors")(torch.rand(1, 3, 8, 8), 768)
