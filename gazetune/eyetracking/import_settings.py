"""How an import is done, and what it says of itself."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from gazetune.errors import InputError
from gazetune.eyetracking.assign_words import TrialLimits
from gazetune.eyetracking.pymovements.settings import PymovementsSettings
from gazetune.eyetracking.recording import DEFAULT_SCREEN, Recording, ScreenSize
from gazetune.files.delimited import FARTHEST_PIXEL


@dataclass(frozen=True, slots=True)
class ImportSettings:
    """How fixations become measures."""

    screen: ScreenSize | None = None
    """Width and height in pixels; unset: as the recording says, else `DEFAULT_SCREEN`."""
    words: Path | None = None
    """Folder of the word boxes; unset: `words` in the source, or beside it where it is a file."""
    assign: Literal["recorded", "nearest", "corrected", "cross"] = "recorded"
    """`recorded`: the words that the files give, `corrected` where they give none; the others assign anew."""
    cross: str = "FIX_CROS"
    """Name of the screen with a cross in its middle that is shown before a trial; `FIX_CROSS` and any case fit too."""
    max_distance: float = 100.0
    """Pixels from a word's box beyond which a fixation lies on no word."""
    limits: TrialLimits = field(default_factory=TrialLimits)
    units: Literal["cmcl", "ms"] = "cmcl"
    """`cmcl`: the units of every predictor of this package; `ms`: fixations, milliseconds, percent."""
    first_pass_only: bool = False
    """FFD and GPT are 0 for a word that was first fixated after a later word."""
    reader_from: Literal["folder", "file"] = "folder"
    """What names the reader of an export of Gazepoint or EyeLink below the source: its folder, or each file itself."""
    repeats: Literal["refuse", "first", "apart", "joined"] = "refuse"
    """A text that a reader read again: `refuse` asks, `first` drops later readings, `apart` takes each as a reader of
    its own (`anna #2`), `joined` takes them as one, files in the order of their names."""
    skip_unmatched: bool = False
    """Drop a recording whose words are no text, and fixations on a screen without boxes, instead of refusing them."""
    pymovements: PymovementsSettings = field(default_factory=PymovementsSettings)
    """For what pymovements loads."""

    def is_cross(self, *names: str) -> bool:
        """Return whether one of the names of a screen is that of the cross."""
        stems = {Path(name).name.casefold().removesuffix(".png").removesuffix(".jpg") for name in names}
        cross = self.cross.casefold()
        return bool(stems & ({cross, "fix_cross"} if cross == "fix_cros" else {cross}))

    def __post_init__(self) -> None:
        screen = self.screen or DEFAULT_SCREEN
        checks = (
            (
                "screen",
                f"{screen[0]}x{screen[1]}",
                max(screen) <= FARTHEST_PIXEL,
                f"at most {FARTHEST_PIXEL:g} pixels each way",
            ),
            (
                "max_distance",
                self.max_distance,
                0 <= self.max_distance <= FARTHEST_PIXEL,
                f"0 to {FARTHEST_PIXEL:g} pixels",
            ),
            ("min_fixations", self.limits.min_fixations, self.limits.min_fixations >= 1, "1 or more"),
            ("min_assigned", self.limits.min_assigned, 0 <= self.limits.min_assigned <= 1, "a share from 0 to 1"),
        )
        for name, value, good, accepted in checks:
            if not good:
                raise InputError(f"{name}: {value}; accepted: {accepted}")


@dataclass(frozen=True, slots=True)
class DroppedPart:
    """Something that was read and not used."""

    what: str
    """`recording`, `fixations` or `file`."""
    source: str
    """The file, and the reader where the file does not name one."""
    reason: str
    count: int = 1
    fixations: int = 0
    """Of a recording: its fixations, but for those that have a line of their own."""


@dataclass(slots=True)
class ImportReport:
    """What was imported, and what was not and why."""

    out: str
    """The Parquet file."""
    units: str
    """`cmcl` or `ms`, as in `ImportSettings`."""
    texts: int = 0
    readers: int = 0
    recordings: int = 0
    """Trials of a reader that were used."""
    rows: int = 0
    fixations: int = 0
    """Fixations on a word."""
    recordings_read: int = 0
    """Trials of a reader that the files have: `recordings`, the dropped ones, and those joined with another."""
    recordings_joined: int = 0
    """Later readings that became one with the first."""
    fixations_read: int = 0
    """Fixations that the files have: `fixations`, the dropped ones, and those of dropped recordings."""
    dropped: list[DroppedPart] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    cross: dict[str, int] = field(default_factory=dict)
    """With `assign` cross: recordings whose offset from the cross was `taken_out`, those that were `left` as they are
    because that brings their fixations nearer to words, and those without a cross before them (`missing`)."""

    def drop_recording(self, recording: Recording, reason: str, fixations: int | None = None, label: str = "") -> None:
        """Add a recording that is not used, with all of its fixations, or those that have no line of their own."""
        count = recording.fixation_count if fixations is None else fixations
        self.dropped.append(DroppedPart("recording", label or str(recording.path), reason, fixations=count))

    def to_json(self) -> dict[str, object]:
        """Return the report as plain values."""
        return asdict(self)
