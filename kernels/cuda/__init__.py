"""The CUDA C++ backend, for operations that are faster there than in Triton, or impossible in Triton."""
