"""Neural style transfer, small and fast.

``fastnst.Stylizer`` stylizes; ``fastnst.models()`` and ``fastnst.looks()`` list the models and looks inside the package, and
``fastnst.load_look`` reads one that was saved; ``fastnst.ModelError`` and ``fastnst.LookError`` are what broken files raise.
All of these load on first use, so that ``import fastnst`` costs next to nothing and the training half of the
package works where the engine is not built.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastnst.stylize import Look, LookError, ModelError, Stylizer, load_look, looks, models

__all__ = ["Look", "LookError", "ModelError", "Stylizer", "__version__", "load_look", "looks", "models"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name == "_engine":  # `from fastnst import _engine` asks here first
        try:
            return importlib.import_module("fastnst._engine")
        except ModuleNotFoundError:
            raise ImportError(
                f"fastnst's engine is not built in {Path(__file__).parent}, where Python found the package: build it there by "
                "`python setup.py build_ext --inplace`, or run Python from another folder, where it finds an installed fastnst"
            ) from None
    if name == "convert":  # a package that can be called; it needs PyTorch
        return importlib.import_module("fastnst.convert")
    if name == "compress":  # it needs PyTorch and what trains
        return importlib.import_module("fastnst.train.compress").compress
    if name not in __all__:
        raise AttributeError(f"module 'fastnst' has no attribute {name!r}")
    from fastnst import stylize

    value = getattr(stylize, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
