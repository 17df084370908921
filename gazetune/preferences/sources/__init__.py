"""The data sets that are known by name, one file each, and what they are made of: rows, their shapes, the registry.

All files of this folder are imported with it, so that each data set registers itself.
"""

from __future__ import annotations

import importlib
import pkgutil

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
