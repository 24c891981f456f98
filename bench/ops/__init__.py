"""Common parts of the benchmarks of ``fastnst.ops``: rivals, measuring, byte and flop models, goals and the report."""
