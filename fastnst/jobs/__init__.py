"""The work of ``fastnst stylize``: planning (``plans``), stylizing (``run``, ``pictures``) and reporting (``reports``)."""
