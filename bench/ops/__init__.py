"""What the benchmarks of ``fastnst.ops`` have in common: rivals, measuring, byte and flop models, goals and the report."""
