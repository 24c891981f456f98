#!/usr/bin/env bash
# import numpy starts a thread for each core but one, for products of matrices that may never come, and they spin before they sleep.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv --without-pip "$folder/env"
python3 -m pip --disable-pip-version-check --python "$folder/env/bin/python" install --quiet numpy==2.4.6
cd "$folder"
env/bin/python - <<'EOF'
import os
import statistics
import subprocess
import sys

CODE = "import os, numpy; print(len(os.listdir('/proc/self/task')))"
THREADS, CORES = "OPENBLAS_NUM_THREADS", len(os.sched_getaffinity(0))
plain = {name: value for name, value in os.environ.items() if name not in (THREADS, "OMP_NUM_THREADS", "GOTO_NUM_THREADS")}
counts, seconds = {}, {}
for _ in range(11):  # in turn, for other programs may run beside
    for name, environment in (("as it is", plain), (f"{THREADS}=1", plain | {THREADS: "1"})):
        before = os.times()
        done = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, check=True)
        after = os.times()
        counts[name] = int(done.stdout)
        used = after.children_user + after.children_system - before.children_user - before.children_system
        seconds.setdefault(name, []).append(used)

print("NumPy 2.4.6, on", CORES, "cores")
print("expected: a program that imports NumPy has one thread until it multiplies large matrices")
for name, count in counts.items():
    print(f"observed: {name}: {count} threads, {1000 * statistics.median(seconds[name]):.0f} ms of processor time for the import alone")
one, other = counts.values()
raise SystemExit(0 if one == CORES > 1 and other == 1 else 1)
EOF
