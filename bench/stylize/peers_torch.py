"""PyTorch among the runtimes that stylize: fp32 in channels_last, eager and compiled for one shape."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from . import network
from .jobs import Job, Run


def torch_pair(folder: Path) -> Any:
    """The network as a ``torch.nn.Module``: ``pair(content, style)`` and ``pair.cached(content, mean, std)``."""
    import torch
    from torch import Tensor, nn

    def module(conv: network.Conv) -> nn.Sequential:
        outputs, inputs, kernel, _ = conv.weights.shape
        layer = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, padding_mode="reflect")
        layer.weight.data, layer.bias.data = torch.from_numpy(conv.weights), torch.from_numpy(conv.bias)  # type: ignore[union-attr]
        steps = [nn.Upsample(scale_factor=2.0, mode="nearest")] if conv.upsample else []
        return nn.Sequential(*steps, layer, *([nn.ReLU()] if conv.relu else []), *([nn.MaxPool2d(2)] if conv.pool else []))

    class Pair(nn.Module):
        def __init__(self, net: network.Network) -> None:
            super().__init__()
            self.encode = nn.Sequential(*map(module, net.encoder))
            self.decode = nn.Sequential(*map(module, net.decoder))

        @staticmethod
        def statistics(features: Tensor) -> tuple[Tensor, Tensor]:
            # The biased variance: at equal sizes the factor n / (n - 1) of the unbiased one cancels between content and style.
            variance, mean = torch.var_mean(features, dim=(2, 3), correction=0, keepdim=True)
            return mean, (variance + network.EPS).sqrt()

        def cached(self, content: Tensor, mean: Tensor, std: Tensor) -> Tensor:
            features = self.encode(content)
            own_mean, own_std = self.statistics(features)
            return self.decode((features - own_mean) / own_std * std + mean)

        def forward(self, content: Tensor, style: Tensor) -> Tensor:
            return self.cached(content, *self.statistics(self.encode(style)))

    return Pair(network.load(folder / "network.npz")).eval().requires_grad_(False)


def load_torch(job: Job) -> tuple[Any, list[Any]]:
    """The function to call and its arguments, in channels_last."""
    import torch

    torch.set_num_threads(job.threads)
    pair = torch_pair(job.folder).to(memory_format=torch.channels_last)
    arguments = [torch.from_numpy(array) for array in job.floats().values()]
    arguments[0] = arguments[0].contiguous(memory_format=torch.channels_last)
    if job.style == "given":
        arguments[1] = arguments[1].contiguous(memory_format=torch.channels_last)
    return (pair if job.style == "given" else pair.cached), arguments


def load_torch_eager(job: Job) -> Run:
    import torch

    function, arguments = load_torch(job)

    @torch.inference_mode()
    def run() -> Any:
        return function(*arguments)

    return run


def load_torch_compile(job: Job) -> Run:
    # Compile in this process: pool workers would use other cores, and their memory would not be counted.
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(job.folder / "inductor")
    os.environ["TORCHINDUCTOR_FREEZING"] = "1"
    import torch

    function, arguments = load_torch(job)
    compiled = torch.compile(function, dynamic=False)

    @torch.no_grad()
    def run() -> Any:
        return compiled(*arguments)

    return run
