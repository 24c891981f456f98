"""Every operation as its paper's formula, in plain PyTorch: what each faster backend is held to.

Nothing here imports the rest of fastnst. All functions take float64 as well as the training types.
"""
