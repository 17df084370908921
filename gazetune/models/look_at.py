"""The pages on which people look at a search, an ablation or a training: MLflow's, and optuna-dashboard's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from gazetune.config.yaml_file import read_yaml
from gazetune.errors import InputError
from gazetune.files.names import is_folder_name
from gazetune.files.paths import resolve_path, show_text


@contextmanager
def serve_pages(name: str, storage: Path, port: int | None, optuna: bool) -> Iterator[dict[str, str]]:
    """Serve the pages on this machine alone, and give their addresses by what they show.

    Parameters
    ----------
    name
        Of a search, an ablation or a training below `storage`; it may still run.
    storage
        The folder of all results.
    port
        For MLflow's pages; None: 5000, or a free one.
    optuna
        Whether to serve optuna-dashboard, too.

    Raises
    ------
    InputError
        When there is no such run, the port is taken, or optuna-dashboard is not installed.
    RunError
        When a server does not start.
    """
    storage = resolve_path(storage, "--storage")
    folder = storage / name
    note = folder / "mlflow_run"  # of a search, an ablation and a training alike
    if not is_folder_name(name) or not note.is_file():
        names = ", ".join(sorted(each.parent.name for each in storage.glob("[!.]*/mlflow_run"))) or "none"
        raise InputError(f"there is no run {show_text(name)} in {storage}; accepted: {names}")
    run = note.read_text().strip()
    from gazetune.tracking.mlflow_runs import Tracker
    from gazetune.tracking.web_ui import save_runs_view, serve_mlflow, serve_optuna

    tracker = Tracker.open(_tracking_uri(folder), storage, "gazetune")
    with ExitStack() as stack:
        server = stack.enter_context(serve_mlflow(tracker, storage, port))
        is_single = not (folder / "trials").is_dir()
        page = f"#/experiments/{tracker.experiment}/runs/{run}" if is_single else save_runs_view(tracker, name, run)
        pages = {"MLflow": f"{server}/{page}"}
        if optuna:
            pages["optuna-dashboard"] = stack.enter_context(serve_optuna(folder / "study.db"))
        yield pages


def _tracking_uri(folder: Path) -> str | None:
    """Return where a run is tracked, as the file that it was begun with says; None for the storage's own database."""
    for file in ("space.yaml", "study.yaml", "config.yaml"):
        if (folder / file).is_file():
            tree = read_yaml(folder / file)
            base = tree.get("base", tree)
            tracking = base.get("tracking") if isinstance(base, Mapping) else None
            uri = tracking.get("uri") if isinstance(tracking, Mapping) else None
            return None if uri is None else str(uri)
    return None
