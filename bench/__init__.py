"""Speed and memory of the engine beside other runtimes on the same network. See :mod:`bench.bench_stylize`."""
