"""Everything that could crash fastnst, lose work or change a pixel, tried on purpose.

``make test`` runs every check with a quick figure, ``make torture`` with a full one and writes what came of it to
``bench/results/torture.md``. A check is a function of one of the modules here; :mod:`torture.framework` says what it gets.
"""
