"""The steps of the reduction: one file each, which declares one `Step`.

A new step is a new file in this folder with a module-level ``STEP``; the
configuration then knows its name and its settings.
"""

from __future__ import annotations

import importlib
import pkgutil

from toros.preprocessor.steps.base import Step


def _find() -> dict[str, Step]:
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    modules = [importlib.import_module(f"{__name__}.{name}") for name in names]
    found = [module.STEP for module in modules if isinstance(getattr(module, "STEP", None), Step)]
    return {step.name: step for step in found}


STEPS: dict[str, Step] = _find()
"""Every step by its name."""

__all__ = ["STEPS", "Step"]
