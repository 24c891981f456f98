"""The CUDA C++ backend, where it beats Triton or does what Triton cannot."""
