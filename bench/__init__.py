"""Speed and memory of the engine beside its rivals, on the same network, in turns. See :mod:`bench.bench_stylize`."""
