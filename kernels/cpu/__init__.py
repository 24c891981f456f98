"""The CPU backend: each stem hands pointers to the compiled library."""
