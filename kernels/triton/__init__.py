"""The Triton backend: one file of kernels per stem."""
