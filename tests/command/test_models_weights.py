"""The float weights of a model, in the names of trained ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastnst import cli
from fastnst.convert.recognition import recognise


def test_weights_of_a_model_are_a_trained_pair(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Which converts again: in real units, folded layers included."""
    out = tmp_path / "nano.safetensors"
    assert cli.main(["models", "adain-nano", "--weights", str(out)]) == 0
    assert recognise([out]).what == "AdaIN pair, widths 8, 8, 16, 16, 32, 32, 32, 32, 48"
    for arguments, words in ((["wct-16x"], "AdaIN models alone"), ([], "one model"), (["adain-nano"], "exists")):
        path = out if words == "exists" else tmp_path / "none.safetensors"
        assert cli.main(["models", *arguments, "--weights", str(path)]) > 0
        assert words in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["nano.safetensors"]
