"""Training recipes, installed as ``fastnst.train``. Needs the ``train`` extra."""
