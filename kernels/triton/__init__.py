"""The Triton backend: one file for each stem, with kernels in further files named after it, such as ``adain_rows.py``."""
