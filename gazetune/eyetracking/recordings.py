"""The recordings under a source, whatever trackers and corpora they are of."""

from __future__ import annotations

from pathlib import Path

from gazetune.errors import InputError
from gazetune.eyetracking import gazepoint, oasst_etc
from gazetune.eyetracking.fixations import Recording
from gazetune.eyetracking.import_settings import DEFAULT_SCREEN, Dropped, ImportReport, ImportSettings
from gazetune.eyetracking.pages import Screen, read_screens
from gazetune.eyetracking.pymovements import source as pymovements_source
from gazetune.eyetracking.pymovements.settings import PymovementsSettings


def read_recordings(source: Path, settings: ImportSettings, report: ImportReport) -> list[Recording]:
    """Return all recordings and say in the report what of them was dropped.

    Parameters
    ----------
    source
        A folder of recordings of OASST-ETC, Gazepoint or EyeLink, one file of the first or the last, the folder of a
        data set of pymovements, or its definition (see `oasst_etc`, `gazepoint`, `pymovements_source`).

    Raises
    ------
    InputError
        If a file is wrong, or there is none.
    """
    if not source.exists():
        raise InputError(f"{source}: does not exist; accepted: a folder of recordings")
    if pymovements_source.is_dataset(source, settings.pymovements):
        shown = _shown(source, settings)
        return _take(pymovements_source.read_dataset(source, settings.pymovements, shown), report)
    paths = [source] if source.is_file() else sorted(source.rglob("*.csv"))
    recordings = _oasst_etc(paths, settings, report) + _gazepoint(paths, source, settings, report)
    asc = [path for path in paths if path.suffix == ".asc"] if source.is_file() else sorted(source.rglob("*.asc"))
    if asc:
        shown = _shown(source, settings)
        recordings += _take(pymovements_source.read_asc_files(asc, source, settings.pymovements, shown), report)
    elif settings.pymovements != PymovementsSettings():
        raise InputError(
            f"{source}: has no *.asc of EyeLink; accepted: --detect, --columns and the other flags of "
            "pymovements with what it reads"
        )
    if not recordings and not report.dropped:
        raise InputError(
            f"{source}: has no recordings; accepted: word_cor_image_fixations_*.csv, fixations_assigned_*.csv, "
            "*_fixations.csv and *_all_gaze.csv of Gazepoint or *.asc of EyeLink with a folder words/ of boxes, "
            "or a definition of pymovements (*.yaml)"
        )
    return recordings


def _oasst_etc(paths: list[Path], settings: ImportSettings, report: ImportReport) -> list[Recording]:
    recordings = []
    for files in oasst_etc.find_trials(paths):
        recording = oasst_etc.read_trial(files, settings.screen or DEFAULT_SCREEN)
        discarded = oasst_etc.discarded_by(files[0], recording.trial)
        if discarded is None:
            recordings.append(recording)
        else:
            report.dropped.append(Dropped("recording", str(files[0]), f"discarded by the experimenters ({discarded})"))
    return recordings


def _gazepoint(paths: list[Path], source: Path, settings: ImportSettings, report: ImportReport) -> list[Recording]:
    exports, twins = gazepoint.without_twins([path for path in paths if gazepoint.is_export(path)])
    report.dropped += [Dropped("file", str(path), "the same recording has a file of fixations") for path in twins]
    words = _words(source, settings)
    screens = read_screens(words) if exports and words.is_dir() else {}
    recordings = []
    for path in exports:
        if not screens:
            report.dropped.append(Dropped("file", str(path), f"no word boxes in {words}"))
            continue
        found, left_out = gazepoint.read_export(path, source, screens, settings.screen or DEFAULT_SCREEN)
        recordings += found
        report.dropped += [Dropped("fixations", str(path), reason, count) for reason, count in left_out.items()]
    return recordings


def _words(source: Path, settings: ImportSettings) -> Path:
    return settings.words or (source.parent if source.is_file() else source) / "words"


def _shown(source: Path, settings: ImportSettings) -> pymovements_source.Shown:
    words = _words(source, settings)
    screens: dict[str, Screen] = read_screens(words) if words.is_dir() else {}
    return pymovements_source.Shown(words, screens, settings.screen, settings.skip_unmatched)


def _take(loaded: pymovements_source.Loaded, report: ImportReport) -> list[Recording]:
    report.dropped += [Dropped("fixations", place, reason, count) for place, reason, count in loaded.left_out]
    report.notes += loaded.notes
    return loaded.recordings
