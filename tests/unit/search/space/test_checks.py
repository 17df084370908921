"""Spaces that can be read and still are wrong: nothing to propose, conditions that never hold, circles."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from gazetune.errors import InputError
from gazetune.search.space.space_file import read_space

SPACE = """\
name: small
base: {gaze: {predictor: planted}}
space:
  fusion.kind: {choice: [none, add, concat]}
  gaze.align: {choice: [spread, first], when: fusion.kind == add}
  adapter.r: {int: [4, 16], step: 4}
  optim.learning_rate: {log_uniform: [1e-4, 1e-2]}
search: {trials: 3}
"""


def read(tmp_path: Path, text: str, **options: object) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(textwrap.dedent(text))
    read_space(path, **options)  # type: ignore[arg-type]


def with_forbid(*conditions: str) -> str:
    return SPACE + "forbid:\n" + "".join(f"  - {condition}\n" for condition in conditions)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (with_forbid("adapter.r >= 4"), r"yaml:9: forbid: holds for every combination; nothing can be proposed"),
        (
            with_forbid("fusion.kind == none", "fusion.kind in [add, concat]"),
            r"yaml:9: forbid: holds for every combination",
        ),
        (with_forbid("adapter.r == 5 and fusion.kind == add"), r"'adapter.r == 5 .*' never holds; adapter.r: int 4 to"),
        (with_forbid("fusion.kind == ad"), r"yaml:9: forbid: fusion.kind: unknown fusion 'ad'; did you mean 'add'"),
        (with_forbid("fusion.kid == add"), r"yaml:9: forbid: unknown key 'fusion.kid'; did you mean 'fusion.kind'"),
        (with_forbid("fusion.kind = add"), r"yaml:9: forbid: 'fusion.kind = add' is no condition; accepted: KEY =="),
        (with_forbid("adapter.r > four"), r"forbid: 'adapter.r > four' needs a number after '>'"),
        (SPACE + "forbid: adapter.r > 4\n", r"yaml:9: forbid: needs a list of conditions, got adapter.r > 4"),
        (
            with_forbid("optim.learning_rate < 9.999e-3"),
            r"yaml:9: forbid: leaves less than 1 of 1000 combinations",
        ),
        (
            with_forbid("fusion.kind == add"),
            r"yaml:5: gaze.align: when: 'fusion.kind == add' never holds where nothing is forbidden",
        ),
        (SPACE.replace("== add", "== gated"), r"yaml:5: gaze.align: when: 'fusion.kind == gated' never holds"),
        (SPACE.replace("== add", "!= nnoe"), r"yaml:5: gaze.align: when: fusion.kind: unknown fusion 'nnoe'; did you"),
        (SPACE.replace("kind == add", "kid == add"), r"yaml:5: gaze.align: when: unknown key 'fusion.kid'"),
        (SPACE.replace("== add", "== add and adapter.r > 16"), r"yaml:5: gaze.align: when: .* never holds"),
        (
            SPACE.replace("concat]}", "concat], when: adapter.r > 4}").replace(
                "step: 4}", "step: 4, when: gaze.align == first}"
            ),
            r"yaml:4: fusion.kind: when: .* in a circle: fusion.kind -> adapter.r -> gaze.align -> fusion.kind",
        ),
        (SPACE.replace("== add", "== add and gaze.align == first"), r"yaml:5: .* gaze.align -> gaze.align"),
        (SPACE.partition("space:")[0] + "space: {}\n", r"yaml:3: space: needs at least one axis"),
        (SPACE.partition("space:")[0], r"yaml: space: needs at least one axis"),
        (SPACE.replace("int: [4", "int: [4, 4"), r"yaml:6: adapter.r: int: needs \[low, high\]"),
        (SPACE.replace("[none, add, concat]", "[none, add"), r"yaml:\d: not YAML"),
        (
            SPACE.replace("space:\n", "space:\n  train.fold: {choice: [{number: 1}, {number: 2}]}\n"),
            r"yaml:4: train.fold: cannot be searched, since trials are compared on the same validation pairs; accepted",
        ),
        (SPACE + "try_first: [{fusion.kind: add}]\nspace: {}\n", r"yaml:10: the key 'space' stands twice"),
    ],
)
def test_a_space_that_cannot_work_is_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read(tmp_path, text)
    assert "\n" not in str(caught.value)


def test_what_set_closes_is_no_contradiction(tmp_path: Path) -> None:
    text = with_forbid("fusion.kind == concat and adapter.r > 8")
    path = tmp_path / "space.yaml"
    path.write_text(text)
    space = read_space(path, overrides=["fusion.kind=none"])
    assert [axis.key for axis in space.axes] == ["adapter.r", "optim.learning_rate"]
    (tmp_path / "again.yaml").write_text(space.to_yaml())
    again = read_space(tmp_path / "again.yaml")
    assert (again.axes, again.base, again.forbid) == (space.axes, space.base, space.forbid)


def test_a_value_is_checked_in_surroundings_in_which_it_can_be_chosen(tmp_path: Path) -> None:
    text = """\
        name: small
        base: {gaze: {predictor: planted}, adapter: {kind: full}}
        space:
          adapter.kind: {choice: [full, lora]}
          adapter.quantization: {choice: [none, nf4], when: adapter.kind == lora}
    """
    pytest.importorskip("bitsandbytes")
    read(tmp_path, text)  # nf4 with kind full, which the base has, would be refused
    with pytest.raises(InputError, match=r"yaml:5: space: .*nf4"):
        read(tmp_path, text.replace(", when: adapter.kind == lora", ""))
