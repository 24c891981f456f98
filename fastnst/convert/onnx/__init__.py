"""Networks from ONNX files. Needs the package ``onnx``."""
