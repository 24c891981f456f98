"""Training recipes, installed as ``fastnst.train``. Needs the ``train`` extra."""

from fastnst.system.threads import sleep_while_waiting

sleep_while_waiting()  # here, because a recipe that `torchrun` starts imports this package before torch
