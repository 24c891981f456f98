"""``python -m fastnst.train.crd``, which ``torchrun`` starts."""

from . import main

main()
