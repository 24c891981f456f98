#!/usr/bin/env bash
# On a machine with a CUDA device and without a network: trains the AdaIN models for as long as it is told. Takes the torch and
# the triton that are installed and builds the engine in the source tree: see bench/gpu_train.py.
#
#   bench/gpu-train.sh --packs FOLDER --out FOLDER --limit 540
#
#   PYTHON  the Python that has torch (python3)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
exec "${PYTHON:-python3}" "$here/gpu_train.py" "$@"
