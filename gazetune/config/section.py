"""What every section of the config tree is, and the kinds of values that several have."""

from __future__ import annotations

import os.path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

MEASURES = ("nFix", "FFD", "GPT", "TRT", "fixProp")
"""The five reading measures in the order that every array, mask and file of this package has them in."""

Probability = Annotated[float, Field(ge=0.0, lt=1.0)]
Positive = Annotated[int, Field(ge=1)]
LARGEST_SEED = 2**63 - 1  # every generator takes it
Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED)]
Deviation = Annotated[float, Field(ge=0.0, le=100.0)]
Metric = Literal["val/accuracy", "val/loss"]

PathText = Annotated[str, AfterValidator(os.path.expanduser)]
"""A path, or what may be one: a leading `~` becomes the home folder. What no file can be called is refused later, by
`with_absolute_paths`."""


def _list_kinds(annotation: object) -> set[object]:
    """Return the plain types that an annotation is made of; of literals those of their values."""
    parts = get_args(annotation)
    if get_origin(annotation) is Literal:
        return {type(part) for part in parts}
    return {kind for part in parts for kind in _list_kinds(part)} if parts else {annotation}


class Section(BaseModel):
    """A config section: unknown keys and infinite numbers are refused, values are immutable once validated."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_switch_for_number(cls, value: object, info: ValidationInfo) -> object:
        """Refuse true and false where a number is needed; pydantic reads them as 1 and 0."""
        items = value if isinstance(value, list | tuple) else [value]
        if any(isinstance(item, bool) for item in items):
            kinds = _list_kinds(cls.model_fields[info.field_name or ""].annotation)
            if kinds & {int, float} and not kinds & {bool, Any}:
                raise PydanticCustomError("switch_for_number", "a number is needed")
        return value


def parse_feature_mask(value: object) -> tuple[str, ...]:
    """Return the names of the reading measures in a feature mask, in canonical order.

    A mask is `[0, 1, 0, 1, 0]`, `"0,1,0,1,0"`, or names.

    Raises
    ------
    ValueError
        For an empty mask, a mask of another length than five, or a name that is no reading measure.

    Examples
    --------
    >>> parse_feature_mask([0, 1, 0, 1, 0])
    ('FFD', 'TRT')
    >>> parse_feature_mask("TRT, nFix")
    ('nFix', 'TRT')
    """
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",")]
    if not isinstance(value, list | tuple):
        raise ValueError(f"a feature mask is a list of {', '.join(MEASURES)} or of five 0/1 flags")
    items = [str(int(item)) if isinstance(item, bool) else str(item) for item in value]
    if items and all(item in ("0", "1") for item in items):
        if len(items) != len(MEASURES):
            raise ValueError(f"a feature mask has {len(MEASURES)} flags ({', '.join(MEASURES)}), got {len(items)}")
        items = [name for name, flag in zip(MEASURES, items, strict=True) if flag == "1"]
    for item in items:
        if item not in MEASURES:
            raise ValueError(f"'{item}' is no reading measure; accepted: {', '.join(MEASURES)} or five 0/1 flags")
    if not items:
        raise ValueError(f"at least one of {', '.join(MEASURES)} is needed (fusion.kind: none is the run without gaze)")
    return tuple(name for name in MEASURES if name in items)
