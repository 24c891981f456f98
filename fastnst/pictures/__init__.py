"""Picture files in and out. All become upright 8-bit sRGB, and an output is complete or absent. Others import
:mod:`fastnst.images`.

``formats/`` has one module for each picture format; ``reading`` and ``writing`` handle whole pictures, ``streams`` large ones
in rows. ``color`` converts any samples to sRGB; ``hidden`` fills the colours below fully transparent pixels.
"""
