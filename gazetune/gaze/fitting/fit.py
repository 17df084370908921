"""Fit a predictor to a CSV of reading measures in the format of the CMCL 2021 shared task.

    gazetune gaze fit --data train.csv --valid valid.csv --kind lexical --out DIR

writes a folder with the weights and their card. The weights that come with the package are made by that command.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gazetune.config import LARGEST_SEED, MEASURES
from gazetune.errors import InputError, did_you_mean
from gazetune.files.new_folder import create_folder
from gazetune.gaze.evaluation import PredictorErrors, evaluate_predictor
from gazetune.gaze.fitting.lexical import fit_lexical
from gazetune.gaze.fitting.pretrained_roberta import read_pretrained_roberta
from gazetune.gaze.fitting.roberta import RobertaRecipe, fit_roberta
from gazetune.gaze.measured_sentences import MeasuredSentences, read_measured_sentences
from gazetune.gaze.networks.weights import file_sha256
from gazetune.gaze.predictors.registry import create_named_predictor

KINDS = ("lexical", "roberta")
"""Kinds of predictors that can be fitted."""


@dataclass(frozen=True, slots=True)
class _Fit:
    """A fit whose recipe has been found usable."""

    write: Callable[[Path], str]
    """Fits, writes weights and what belongs beside them into the folder, and returns what their card says of it."""
    sources: dict[str, Path]
    """Files that it begins with, by what for."""


def fit_predictor(
    kind: str, train_csv: Path, valid_csv: Path, out: Path, seed: int = 0, recipe: RobertaRecipe | None = None
) -> PredictorErrors:
    """Fit a predictor to one CMCL-format CSV, evaluate it on another and write it to the folder `out`.

    The folder holds `KIND.safetensors`, its card `KIND.md` and, for `roberta`, config and tokenizer. It appears whole
    or not at all. It or the weights in it can be `gaze.path`.

    Parameters
    ----------
    recipe
        How a `roberta` is fitted; unset: as `RobertaRecipe` has it.

    Returns
    -------
    PredictorErrors
        The errors on `valid_csv`, as of `evaluate_predictor`.

    Raises
    ------
    InputError
        If there is no such kind or seed, `recipe` is for another one or cannot be followed, `out` exists or cannot be
        written, or a CSV cannot be used. Nothing was written.
    RunError
        If the fit came to numbers that are not finite. Nothing was written.
    """
    if kind not in KINDS:
        raise InputError(f"kind '{kind}': cannot be fitted; {did_you_mean(kind, KINDS)}")
    if not 0 <= seed <= LARGEST_SEED:
        raise InputError(f"seed: {seed}; accepted: 0 to {LARGEST_SEED}")
    train, valid = read_measured_sentences(train_csv), read_measured_sentences(valid_csv)
    if out.exists():
        raise InputError(f"{out}: exists already; accepted: a folder that does not exist yet")
    fit = _fit_of(kind, train, seed, recipe)
    sources = {"fitted on": train_csv, "evaluated on": valid_csv} | fit.sources
    try:
        with create_folder(out) as folder:
            weights = folder / f"{kind}.safetensors"
            how = fit.write(folder)
            errors = evaluate_predictor(create_named_predictor(kind, str(weights)), valid)
            card = _card(weights, sources, how, errors)
            (folder / f"{kind}.md").write_text(card, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror})") from None
    return errors


def _fit_of(kind: str, train: MeasuredSentences, seed: int, recipe: RobertaRecipe | None) -> _Fit:
    if kind == "roberta":
        chosen = recipe or RobertaRecipe()
        chosen.check(train)
        base = read_pretrained_roberta(chosen.base)
        return _Fit(lambda folder: fit_roberta(train, base, chosen, seed, folder), {"begun with": base.weights})
    if recipe is not None:
        raise InputError(f"kind '{kind}': takes no --base, --epochs or --learning-rate; accepted with kind 'roberta'")

    def write(folder: Path) -> str:
        (folder / "lexical.safetensors").write_bytes(fit_lexical(train, seed))
        return f"with seed {seed}"

    return _Fit(write, {})


def _card(weights: Path, sources: dict[str, Path], how: str, errors: PredictorErrors) -> str:
    """Return the card of fitted weights: what they were fitted on, and how far they are from other data."""
    columns = [errors["measures"][name] for name in MEASURES]
    mae = " | ".join(f"{each['mae']:.3f}" for each in columns)
    rank = " | ".join("-" if each["spearman"] is None else f"{each['spearman']:.3f}" for each in columns)
    files = "\n".join(
        f"| {use} | {path.name} | {file_sha256(path)} |" for use, path in (sources | {"weights": weights}).items()
    )
    return f"""# Card of `{weights.name}`

Weights of gazetune's gaze predictor `{weights.stem}`, made by `gazetune gaze fit --kind {weights.stem}` {how}.
To use them set `gaze.path` to this folder.

| | file | sha256 |
| --- | --- | --- |
{files}

Errors over {errors["words"]} words of the file they were evaluated on, in the units of the CMCL 2021 shared task:

| | {" | ".join(MEASURES)} | mean |
| --- |{" --- |" * len(MEASURES)} --- |
| mean absolute error | {mae} | {errors["mean_mae"]:.3f} |
| Spearman's rank correlation | {rank} | |

Where the data came from, and under which licence, is for whoever passes these weights on to add.
"""
