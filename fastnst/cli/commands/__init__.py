"""The commands of ``fastnst``: each is a module of this package, and its name is that of the command.

A module has ``HELP``, the line that ``fastnst --help`` prints; ``add_arguments(parser)``; and ``run(arguments)``, which returns
an exit code. Every module is imported for ``fastnst --help``, so heavy imports belong in ``run``.
"""
