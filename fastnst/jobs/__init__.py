"""The work of ``fastnst stylize``: what is to do (``plans``), doing it (``run``, ``tiled``), what came of it (``reports``)."""
