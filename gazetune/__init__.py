"""gazetune: find the best gaze-aware reward model, on any cluster, and prove it."""

__version__ = "0.1.0"
