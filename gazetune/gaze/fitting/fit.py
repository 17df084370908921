"""Fit a predictor to a CSV of reading measures in the format of the CMCL 2021 shared task.

    gazetune gaze fit --data train.csv --valid valid.csv --kind lexical --out DIR

writes a folder with the weights and their card. The weights that come with the package are made by that command.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import EvalResult, ModelCard, ModelCardData

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

_CARD_TEMPLATE = Path(__file__).with_name("fitted_predictor_card.md")


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
    fit = _prepare_fit(kind, train, seed, recipe)
    sources = {"fitted on": train_csv, "evaluated on": valid_csv} | fit.sources
    try:
        with create_folder(out) as folder:
            weights = folder / f"{kind}.safetensors"
            how = fit.write(folder)
            errors = evaluate_predictor(create_named_predictor(kind, str(weights)), valid)
            card = _render_card(weights, sources, valid_csv, how, errors)
            (folder / f"{kind}.md").write_text(card, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror})") from None
    return errors


def _prepare_fit(kind: str, train: MeasuredSentences, seed: int, recipe: RobertaRecipe | None) -> _Fit:
    if kind == "roberta":
        chosen = recipe or RobertaRecipe()
        chosen.check_against(train)
        base = read_pretrained_roberta(chosen.base)
        return _Fit(lambda folder: fit_roberta(train, base, chosen, seed, folder), {"begun with": base.weights})
    if recipe is not None:
        raise InputError(f"kind '{kind}': takes no --base, --epochs or --learning-rate; accepted with kind 'roberta'")

    def write_lexical(folder: Path) -> str:
        (folder / "lexical.safetensors").write_bytes(fit_lexical(train, seed))
        return f"with seed {seed}"

    return _Fit(write_lexical, {})


def _render_card(weights: Path, sources: dict[str, Path], valid: Path, how: str, errors: PredictorErrors) -> str:
    """Return the card of fitted weights: what they were fitted on, and how far they are from other data."""
    results = [
        EvalResult(
            task_type="other",
            task_name="Reading measures of words",
            dataset_type=valid.name,
            dataset_name=valid.name,
            metric_type="mae",
            metric_name=f"{name}: mean absolute error",
            metric_value=round(errors["measures"][name]["mae"], 3),
        )
        for name in MEASURES
    ]
    data = ModelCardData(
        library_name="gazetune",
        tags=["gaze", "eye-tracking", "reading-measures"],
        model_name=f"gazetune-{weights.stem}",
        eval_results=results,
    )
    columns = [errors["measures"][name] for name in MEASURES]
    card = ModelCard.from_template(
        data,
        template_path=str(_CARD_TEMPLATE),
        kind=weights.stem,
        weights=weights.name,
        how=how,
        files=[(use, path.name, file_sha256(path)) for use, path in (sources | {"weights": weights}).items()],
        words=errors["words"],
        measures=MEASURES,
        mae=[f"{each['mae']:.3f}" for each in columns],
        mean_mae=f"{errors['mean_mae']:.3f}",
        spearman=["-" if each["spearman"] is None else f"{each['spearman']:.3f}" for each in columns],
    )
    return f"{card}\n"
