"""Layouts of trained networks, one module each, as :mod:`fastnst.convert.recognition` describes them; found by their names."""
