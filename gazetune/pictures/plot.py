"""What `gazetune gaze plot` does: measures from a predictor, a picture of them, its file or files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from gazetune.config import MEASURES, Config, GazeConfig
from gazetune.errors import InputError, did_you_mean
from gazetune.files.atomic_write import write_atomically
from gazetune.gaze.measures import GazePredictor
from gazetune.gaze.predictors.registry import check_predictor, create_predictor
from gazetune.pictures.comparison import compare_words
from gazetune.pictures.heatmap import HeatMap, read_panels
from gazetune.pictures.measure_units import predicted_unit
from gazetune.pictures.scanpath import read_scanpath

PICTURE_SUFFIXES = (".png", ".html")
"""The endings of a picture's file."""


class Picture(Protocol):
    """What can be drawn as a page of HTML and, with the same colours and words, as PNG."""

    def to_png(self) -> list[bytes]:
        """Return the PNG file of each page."""

    def to_html(self) -> str:
        """Return one HTML document."""


def plot_texts(
    gaze: GazeConfig, texts: Mapping[str, str], out: Path, measure: str = "TRT", note: str = ""
) -> list[Path]:
    """Draw texts, given by their captions, side by side as heat maps of a measure.

    Parameters
    ----------
    gaze
        Names the predictor, and its file where it has one.
    texts
        Caption to text; one text needs no caption (an empty one).
    out
        `FILE.png` or `FILE.html`. Further pages of a PNG are `FILE-2.png` and so on.
    measure
        One of `MEASURES`.
    note
        The prompt that the texts answer.

    Returns
    -------
    list of Path
        The files that were written.

    Raises
    ------
    InputError
        For another ending, a folder that does not exist, a measure that there is not or that the predictor lacks, a
        text without words, or when the predictor refuses its file or a text. Nothing is written then.
    """
    _check_arguments(out, measure)
    predictor, name = _create_predictor(gaze, (measure,)), gaze.predictor
    picture = HeatMap(
        panels=read_panels(predictor, texts),
        measure=measure,
        unit=predicted_unit(name, measure),
        source="recorded" if name == "recorded" else f"predicted by {name}",
        note=note,
    )
    return write_picture(out, picture)


def plot_comparison(gaze: GazeConfig, data_csv: Path, out: Path, measure: str | None = None) -> list[Path]:
    """Draw a predictor against the readers of a CMCL-format CSV, for one measure or for all five.

    Raises
    ------
    InputError
        As `plot_texts`, and if the CSV cannot be used. Nothing is written then.
    """
    measures = (measure,) if measure is not None else MEASURES
    _check_arguments(out, *measures)
    picture = compare_words(_create_predictor(gaze, measures), gaze.predictor, data_csv, measures)
    return write_picture(out, picture)


def plot_scanpath(fixations_csv: Path, boxes_csv: Path, out: Path) -> list[Path]:
    """Draw fixations in their order over the words of a screen.

    Parameters
    ----------
    fixations_csv
        Columns x, y (pixels) and duration (seconds), in the order of time.
    boxes_csv
        Columns text, x1, y1, x2, y2 (pixels).

    Raises
    ------
    InputError
        For another ending, a folder that does not exist, a file that cannot be used, or a position that is far from any
        screen. Nothing is written then.
    """
    _check_arguments(out)
    picture = read_scanpath(fixations_csv, boxes_csv)
    return write_picture(out, picture)


def _create_predictor(gaze: GazeConfig, measures: tuple[str, ...]) -> GazePredictor:
    config = Config(gaze=gaze.model_copy(update={"features": measures}))
    check_predictor(config)
    return create_predictor(config)


def check_picture_file(out: Path) -> None:
    """Refuse a file that a picture cannot be written to.

    Raises
    ------
    InputError
        For another ending than `PICTURE_SUFFIXES`, and a folder that does not exist.
    """
    if out.suffix not in PICTURE_SUFFIXES:
        raise InputError(f"--out: '{out}'; accepted: a file that ends in {' or '.join(PICTURE_SUFFIXES)}")
    if not out.parent.is_dir():
        raise InputError(f"--out: '{out}': there is no folder '{out.parent}'")


def _check_arguments(out: Path, *measures: str) -> None:
    check_picture_file(out)
    for measure in measures:
        if measure not in MEASURES:
            raise InputError(f"--measure: '{measure}' is no reading measure; {did_you_mean(measure, MEASURES)}")


def write_picture(out: Path, picture: Picture) -> list[Path]:
    """Write the pages, each whole or not at all, and return their paths.

    Raises
    ------
    InputError
        When a file cannot be written.
    """
    pages = picture.to_png() if out.suffix == ".png" else [picture.to_html().encode()]
    files = [out, *(out.with_name(f"{out.stem}-{number}{out.suffix}") for number in range(2, len(pages) + 1))]
    for file, content in zip(files, pages, strict=True):
        try:
            write_atomically(file, content)
        except OSError as error:
            raise InputError(f"--out: '{file}' cannot be written ({error.strerror or error})") from None
    return files
