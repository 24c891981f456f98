"""Channels that are dead for the pictures tried can go, and nothing changes; those that are nearly dead change little."""

from __future__ import annotations

import pytest
import torch

from fastnst.networks.pruning import peaks, without_dead
from fastnst.networks.state import decoder_widths, encoder_widths, part_of
from fastnst.networks.wct import Stage

WIDTHS = (6, 5, 7, 4, 8)
DEAD = {"encoder.conv1_1": [0, 3], "encoder.conv3_1": [5], "decoder.conv2_2": [1, 2], "decoder.conv1_2": [0]}


@pytest.fixture
def stage() -> Stage:
    torch.manual_seed(0)
    stage = Stage(WIDTHS, heads=True).eval().requires_grad_(False)
    for name, dead in {
        "encoder.conv1_1": [0, 3],
        "encoder.conv3_1": [5],
        "decoder.conv2_2": [1, 2],
        "decoder.conv1_2": [0],
    }.items():
        stage.get_submodule(name).bias[dead] = -1000.0
    return stage


@pytest.fixture
def pictures() -> torch.Tensor:
    return torch.rand(2, 3, 24, 20, generator=torch.Generator().manual_seed(1))


def outputs(stage: Stage, pictures: torch.Tensor) -> list[torch.Tensor]:
    levels = stage.encoder.features(pictures)
    return [*stage.lifted(levels), stage.decoder(levels[-1])]


def rebuilt(state: dict[str, torch.Tensor]) -> Stage:
    widths, back = encoder_widths(part_of(state, "encoder")), decoder_widths(part_of(state, "decoder"))
    slim = Stage(widths, heads=True, decoder_widths=back).eval().requires_grad_(False)
    slim.load_state_dict(state)
    return slim


def test_removing_dead_channels_changes_nothing(stage: Stage, pictures: torch.Tensor) -> None:
    state = without_dead(stage.state_dict(), peaks(stage, lambda: outputs(stage, pictures)))
    found = peaks(stage, lambda: outputs(stage, pictures))
    live = {name: int((peak > 0).sum()) for name, peak in found.items()}
    slim = rebuilt(state)
    assert encoder_widths(part_of(state, "encoder")) == tuple(
        live[f"encoder.{name}"] for name in ("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1")
    )
    assert encoder_widths(part_of(state, "encoder"))[0] <= 4 and encoder_widths(part_of(state, "encoder"))[-1] <= 7
    assert decoder_widths(part_of(state, "decoder"))[-1] == encoder_widths(part_of(state, "encoder"))[-1]
    assert sum(x.numel() for x in state.values()) < sum(x.numel() for x in stage.state_dict().values())
    for wanted, got in zip(outputs(stage, pictures), outputs(slim, pictures), strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-4)


def test_heads_follow_their_layers(stage: Stage, pictures: torch.Tensor) -> None:
    state = without_dead(stage.state_dict(), peaks(stage, lambda: outputs(stage, pictures)))
    for name in ("conv1_1", "conv2_1", "conv3_1"):
        assert state[f"heads.{name}.weight"].shape[1] == state[f"encoder.{name}.weight"].shape[0]


def test_nearly_dead_channels_go_on_request(stage: Stage, pictures: torch.Tensor) -> None:
    peak = peaks(stage, lambda: outputs(stage, pictures))
    strict, generous = without_dead(stage.state_dict(), peak), without_dead(stage.state_dict(), peak, share=0.5)
    assert sum(x.numel() for x in generous.values()) < sum(x.numel() for x in strict.values())
    rebuilt(generous)


def test_a_dead_layer_keeps_a_channel(stage: Stage, pictures: torch.Tensor) -> None:
    stage.encoder.conv2_1.bias.fill_(-1000.0)
    state = without_dead(stage.state_dict(), peaks(stage, lambda: outputs(stage, pictures)))
    assert encoder_widths(part_of(state, "encoder"))[2] == 1
    rebuilt(state)


def test_no_hooks_stay(stage: Stage) -> None:
    with pytest.raises(RuntimeError, match="stopped"):
        peaks(stage, lambda: (_ for _ in ()).throw(RuntimeError("stopped")))
    assert not any(module._forward_hooks for module in stage.modules())
