#!/usr/bin/env bash
# On a machine with a CUDA device: builds the package, tests its kernels on the device and measures them, within nine minutes.
# Takes the torch and the triton that are installed and needs no network.
#
#   PYTHON  the Python that has torch (python3)
#   OUT     folder for the reports (bench/results)
set -uo pipefail
cd "$(dirname "$0")/.."

limit=540 tests=200 margin=40
python=$(command -v "${PYTHON:-python3}") || { echo "no ${PYTHON:-python3}" >&2; exit 1; }
results=${OUT:-bench/results}
left() { echo $((limit - margin - SECONDS)); }
# At most $1 seconds, and not longer than the time that is left.
within() { timeout --kill-after=10 $(($(left) < $1 ? $(left) : $1)) "${@:2}"; }

"$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' || { echo "no CUDA device" >&2; exit 1; }

# Installed in place, in an environment of its own that sees the packages of the other one.
packages=$("$python" -c 'import sys; print(*(path for path in sys.path if path.endswith("-packages")), sep="\n")')
"$python" -m venv --without-pip --clear build/gpu
echo "$packages" > "$(build/gpu/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/outer.pth"
python=$PWD/build/gpu/bin/python
if ! within 120 "$python" -m pip install -q --no-deps --no-build-isolation -e .; then
  echo "pip cannot install it: building without pip"
  within 120 "$python" setup.py -q build_ext --inplace || echo "no engine: the kernels of the GPU do without"
  trap 'rm -f fastnst/kernels fastnst/train fastnst/bench' EXIT
  for folder in kernels train bench; do ln -sfn "../$folder" "fastnst/$folder"; done
  export PYTHONPATH=$PWD
fi
if command -v nvcc >/dev/null || [ -n "${CUDA_HOME:-}" ]; then
  within 90 "$python" -m fastnst.kernels.cuda.build || echo "no CUDA library: cuSOLVER is not measured"
fi
echo "built after $SECONDS s"

mkdir -p "$results"
shopt -s nullglob
within $tests "$python" -m pytest -q -p no:cacheprovider tests/test_ops.py tests/test_cuda.py tests/test_triton_*.py \
  tests/test_newton_schulz.py 2>&1 | tee "$results/gpu-tests.txt"
tested=${PIPESTATUS[0]}
echo "tested after $SECONDS s"

within $limit "$python" -m fastnst bench --device cuda --limit $(($(left) - 30)) -o "$results"
measured=$?
echo "measured after $SECONDS s"
[ "$tested" = 124 ] && echo "the tests were stopped after $tests s" >&2
exit $((tested ? tested : measured))
