"""Benchmark of the engine in a web page beside ONNX Runtime's WebAssembly, in the same tab."""
