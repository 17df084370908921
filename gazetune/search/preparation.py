"""What a search needs before its first trial: checks, prepared data, the cluster, the study."""

from __future__ import annotations

from gazetune.config import Config
from gazetune.gaze.store.parallel import RayPrediction
from gazetune.reward.data.dataset import PreparedData
from gazetune.search.active_search import PreparedSearch
from gazetune.search.folder import SearchFolder
from gazetune.search.input_checks import check_space_backbones
from gazetune.search.space.search_space import SearchSpace
from gazetune.search.stopping.schedulers import check_same_pairs, plan_rungs
from gazetune.search.study.seeding import seed_study
from gazetune.search.study.storage import open_study
from gazetune.search.study.warm_start import with_history
from gazetune.tracking.mlflow_runs import Tracker
from gazetune.train.steps import StepPlan
from gazetune.trials.progress import ProgressDisplay
from gazetune.trials.run_folder import RunFacts
from gazetune.trials.start.cluster_connection import ClusterConnection
from gazetune.trials.start.data_sets import prepare_data_sets
from gazetune.trials.start.gaze_probe import list_missing_signals


def prepare_search(
    space: SearchSpace,
    folder: SearchFolder,
    cluster: ClusterConnection,
    warm_start: str | None,
    progress: ProgressDisplay,
) -> PreparedSearch:
    """Prepare the data, join the cluster, and open study and tracking.

    The cluster is joined earlier only when there are so many reading measures to predict that it pays.

    Raises
    ------
    InputError
        For whatever is wrong with data, storage, tracking server, cluster, or the search that `warm_start` names.
    """
    storage = folder.path.parent
    progress.print_stage("preparing data and gaze")
    check_space_backbones(space)
    configs = space.data_configs()
    data = prepare_data_sets(configs, folder.cache, progress, RayPrediction(cluster.join))
    for line in list_missing_signals(configs, data):
        progress.print_line(line)
    check_same_pairs(space.config.search, [each.facts.data_fingerprint for each in data])
    rungs = plan_rungs(space.config.search, _full_budget(space.config, data[0]))
    facts = RunFacts(" ".join(sorted({each.facts.data_fingerprint for each in data})), rungs.budget)
    if warm_start is not None:
        space = with_history(space, warm_start, storage, facts)
    progress.print_stage("joining the cluster")
    size = cluster.join()
    if size.gpus and not any(shape.gpus for shape in space.resource_shapes()):
        progress.print_line(f"{size.gpus:g} GPU(s) stay unused, as resources.gpus_per_worker is 0")
    tracker = Tracker.open(space.config.tracking.uri, storage, "gazetune")
    folder.write_space(space)
    folder.write_facts(facts)
    seed_study(open_study(space.name, space.config.search, folder.path), space)
    folder.finish_preparation()
    return PreparedSearch(space, folder, tracker, data, rungs, size, progress)


def _full_budget(config: Config, data: PreparedData) -> int:
    """Return the training examples of a trial that nothing stops."""
    plan = StepPlan.from_config(config.train, len(data.train))
    return plan.examples_after(plan.total_steps)
