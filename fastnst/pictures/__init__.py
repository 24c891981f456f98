"""Picture files in and out: JPEG, PNG, WebP, AVIF, HEIC, TIFF, BMP, PPM and PAM become 8-bit sRGB, and outputs are complete or
absent. :mod:`fastnst.images` is what others import.

``reading`` and ``writing`` are files, with readers of our own for ``png`` and ``tiff``; ``color`` is what their numbers mean,
``hidden`` what nobody sees of them.
"""
