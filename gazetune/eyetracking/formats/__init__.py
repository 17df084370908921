"""The formats of recordings, one file each, and what they share: the registry, and fixations split into trials.

All files of this folder are imported with it, so that each format registers itself.
"""

from __future__ import annotations

import importlib
import pkgutil

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
