"""The picture formats: each is a module of this package whose ``FORMAT`` says how it is recognised, read and written.

:mod:`fastnst.pictures.registry` finds every module here by its name.
"""
