"""The work of ``fastnst stylize``: what is to be done (``plans``), doing it (``run``, ``tiled``), and what came of it (``reports``)."""
