"""The CPU backend: each module passes tensors to the compiled library."""
