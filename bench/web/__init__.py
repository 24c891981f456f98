"""The engine in a page beside ONNX Runtime's WebAssembly, in one tab of one browser."""
