"""The Triton backend: each stem is a file, whose kernels may be in further files of that name, such as ``adain_rows.py``."""
