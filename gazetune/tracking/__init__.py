"""MLflow runs of searches and trials, and where each came from.

Importing this package is cheap: MLflow itself (seconds) is imported when a tracker is opened.
"""

from __future__ import annotations

import os

# Read by MLflow when it is imported: nothing is sent anywhere unless the user asks for it.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
