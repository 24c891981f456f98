#!/usr/bin/env bash
# On a machine with a CUDA device: runs every test that needs one and measures the operations, within eight minutes.
# Takes the torch and the triton that are installed, installs nothing and needs no network: see bench/gpu.py.
#
#   PYTHON  the Python that has torch (python3)
#   OUT     folder for the results (bench/results)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
exec "${PYTHON:-python3}" "$here/gpu.py" --out "${OUT:-$here/results}" "$@"
