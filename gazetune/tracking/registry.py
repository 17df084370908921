"""The best model of a search in MLflow's model registry, under the search's name and the alias `champion`.

A search that ends registers a version of its name. Its tags say in which folder the model lies, what won and the
verdict. A database is local, so there the version points at the folder. A server gets a copy, as it may not see this
machine's files.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gazetune.errors.redact import hide_secrets
from gazetune.tracking.location import SERVERS
from gazetune.tracking.mlflow_runs import Tracker

CHAMPION = "champion"
"""The alias of the latest version that a search registered."""
FOLDER_TAG = "gazetune.folder"
"""Tag of a version: the folder of the saved model on the machine that trained it."""


def register_model(
    tracker: Tracker, name: str, folder: Path, run: str, description: str, tags: Mapping[str, str]
) -> str:
    """Register a saved model as a new version of `name`, and point the alias `champion` at it.

    Parameters
    ----------
    tracker
        Where the runs of the search are.
    name
        Of the registered model; it is made where it is missing.
    folder
        The saved model.
    run
        Id of the run that the version belongs to.
    description
        What MLflow shows above the version, in Markdown.
    tags
        Of the version.

    Returns
    -------
    The number of the version.

    Raises
    ------
    mlflow.exceptions.MlflowException
        When the registry does not take it.
    """
    from mlflow.exceptions import MlflowException

    client = tracker.client
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    if tracker.uri.startswith(SERVERS):
        client.log_artifacts(run, str(folder), "model")
        source = f"{client.get_run(run).info.artifact_uri}/model"
    else:
        source = folder.absolute().as_uri()
    shown = {key: hide_secrets(value)[:5000] for key, value in {**tags, FOLDER_TAG: str(folder.absolute())}.items()}
    version = client.create_model_version(name, source, run, shown, description=hide_secrets(description))
    client.set_registered_model_alias(name, CHAMPION, version.version)
    return str(version.version)


def find_registered_folder(tracker: Tracker, name: str, version: str) -> Path | None:
    """Return the folder of a version of a registered model, by its number or an alias; None where there is none."""
    from mlflow.exceptions import MlflowException

    client = tracker.client
    try:
        find = client.get_model_version if version.isdecimal() else client.get_model_version_by_alias
        found = find(name, version)
    except MlflowException:
        return None
    folder = found.tags.get(FOLDER_TAG)
    return None if folder is None else Path(folder)
