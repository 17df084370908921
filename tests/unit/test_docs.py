"""What README.md and docs/ say exists: keys, flags, targets, spaces, shapes, rooms, links."""

from __future__ import annotations

import argparse
import ast
import re
import shlex
from pathlib import Path

import pytest
import yaml

from gazetune.ablation.study.study_file import read_study
from gazetune.cli.main import build_parser, leaf_parsers
from gazetune.config import Section
from gazetune.config.config_file import load_config
from gazetune.config.keys import accepted_values, config_keys
from gazetune.preferences.pair import PreferencePair
from gazetune.preferences.source_splits import read_source_splits
from gazetune.report.document import BaselineRecord, BestRecord, SearchDocument, TrialRecord
from gazetune.search.space.space_file import read_space
from gazetune.train.limits.compatibility import format_markdown_table
from gazetune.train.reference_flags import reference_table

ROOT = Path(__file__).parents[2]
ABLATIONS = ROOT / "docs" / "ablations.md"
README = ROOT / "README.md"
BENCHMARKS = ROOT / "docs" / "benchmarks.md"
"""It names flags of the benches too."""
CONFIGURATION = ROOT / "docs" / "configuration.md"
DESIGN = ROOT / "docs" / "design.md"
PRESETS = ROOT / "docs" / "presets.md"
REFERENCE_FLAGS = ROOT / "docs" / "reference_flags.md"
RESULTS = ROOT / "docs" / "results.md"
SPACES = ROOT / "docs" / "search_spaces.md"
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
PAGES = (README, CONTRIBUTING, *sorted((ROOT / "docs").glob("*.md")))
COMMENTED = tuple(sorted((ROOT / "search_spaces").glob("*.yaml")))


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def code(page: Path) -> list[str]:
    """Return the lines of all code of a page: fenced, indented or inline; continued lines are joined."""
    text = page.read_text().replace("\\\n", " ")
    if page.suffix == ".yaml":
        return re.findall(r"gazetune (?:search|ablate|train|gaze|export|doctor) .*", text)
    fenced = [line for block in re.findall(r"^```.*?^```", text, flags=re.M | re.S) for line in block.splitlines()]
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return [*fenced, *re.findall(r"^    (.*)", prose, flags=re.MULTILINE), *re.findall(r"`([^`]+)`", prose)]


def subparsers() -> dict[str, argparse.ArgumentParser]:
    return leaf_parsers(build_parser())


def default_of(key: str) -> object:
    value = config_keys()[key].get_default(call_default_factory=True)
    if isinstance(value, Section):
        return value.model_dump(mode="json")
    return list(value) if isinstance(value, tuple) else value


def test_every_config_key_is_described_with_what_it_accepts_and_its_default() -> None:
    rows = re.findall(r"^\| `([\w.]+)` \| (.*?) \| `(.*?)` \| (.+) \|$", CONFIGURATION.read_text(), flags=re.MULTILINE)
    assert [row[0] for row in rows] == list(config_keys())
    for key, accepts, default, meaning in rows:
        assert accepts == accepted_values(key), key
        assert yaml.safe_load(default) == default_of(key), key
        assert meaning.endswith(".") and len(meaning) > 10, key


def test_the_configuration_page_has_the_table_of_what_goes_together() -> None:
    assert format_markdown_table() in CONFIGURATION.read_text()


def test_the_page_of_reference_flags_has_their_table() -> None:
    assert reference_table() in REFERENCE_FLAGS.read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_make_target_that_is_named_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    named = {found for line in code(page) for found in re.findall(r"^make ([a-z-]+)", line)}
    assert named <= targets
    assert named or page not in (README, CONTRIBUTING)


@pytest.mark.parametrize("page", [*PAGES, *COMMENTED], ids=lambda page: page.name)
def test_every_gazetune_command_that_is_named_has_its_flags(page: Path) -> None:
    commands = subparsers()
    for line in code(page):
        found = re.match(r"(?:\.venv/bin/)?gazetune ((?:gaze|space) \w+|\w+)(.*)", line)
        if found is None:
            continue
        assert found[1] in commands, line
        known = commands[found[1]]._option_string_actions
        flags = [word for word in shlex.split(found[2], comments=True) if re.match(r"--?[a-z]", word)]
        assert not [flag for flag in flags if flag not in known], line


@pytest.mark.parametrize("page", [page for page in PAGES if page != BENCHMARKS], ids=lambda page: page.name)
def test_every_flag_that_is_named_alone_exists(page: Path) -> None:
    known = {flag for parser in subparsers().values() for flag in parser._option_string_actions}
    named = [line.split()[0] for line in code(page) if re.match(r"--?[a-z]", line)]
    assert not [flag for flag in named if flag not in known]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_config_key_that_is_set_on_a_command_line_exists(page: Path) -> None:
    keys = {key for line in code(page) for key in re.findall(r"--set ([a-z_.]+)=", line)}
    assert not [key for key in keys if not any(key == leaf or key.startswith(f"{leaf}.") for leaf in config_keys())]


@pytest.mark.parametrize("page", [README, CONFIGURATION, PRESETS, SPACES], ids=lambda page: page.name)
def test_every_yaml_example_is_accepted(page: Path, tmp_path: Path) -> None:
    examples = blocks(page, "yaml")
    assert examples
    for example in examples:
        file = tmp_path / "example.yaml"
        file.write_text(example)
        if "space:" in example:
            assert read_space(file).axes
        else:
            load_config(file)


def test_every_study_of_the_page_on_ablations_is_accepted(tmp_path: Path) -> None:
    examples = blocks(ABLATIONS, "yaml")
    assert examples
    for example in examples:
        (tmp_path / "study.yaml").write_text(example)
        assert read_study(tmp_path / "study.yaml").cells


def test_the_readme_shows_the_shipped_demo_space(tmp_path: Path) -> None:
    shown = tmp_path / "demo.yaml"
    shown.write_text(blocks(README, "yaml")[0])
    shipped = read_space(ROOT / "search_spaces" / "demo.yaml")
    assert read_space(shown).base == shipped.base and read_space(shown).axes == shipped.axes


def test_every_shape_of_a_pair_in_the_readme_is_read(tmp_path: Path) -> None:
    (example,) = blocks(README, "jsonl")
    file = tmp_path / "pairs.jsonl"
    file.write_text(example)
    pairs = list(read_source_splits(str(file))["train"])
    assert len(pairs) == len(example.splitlines()) >= 4
    for pair in pairs[1:]:
        assert isinstance(pair, PreferencePair)
        assert (pair.prompt[-1].content, pair.chosen, pair.rejected) == ("Name a prime.", "7", "9")


def test_the_page_of_results_names_every_field_of_the_json_document() -> None:
    text = RESULTS.read_text().partition("`--json` prints")[2].partition("## ")[0]
    shown = set(SearchDocument.__slots__) - {"config", "fingerprints"}  # for the report only
    for record in (TrialRecord, BestRecord, BaselineRecord):
        shown |= set(record.__slots__)
    assert not [name for name in shown if not re.search(rf"[`{{, (]{name}[`}}, :]", text)]


def test_the_design_lists_the_rooms_in_their_order() -> None:
    tree = ast.parse((ROOT / "tests" / "unit" / "test_rooms.py").read_text())
    rooms = next(
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "ROOMS"
    )
    listed = DESIGN.read_text().partition("## Rooms")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", listed, flags=re.MULTILINE) == list(rooms)


def test_the_readme_is_short_and_shows_pictures() -> None:
    text = README.read_text()
    assert len(text.splitlines()) <= 220 and len(text.split()) <= 2000
    assert len(re.findall(r"^!\[[^]]+\]\(", text, flags=re.MULTILINE)) >= 2, (
        "each with words for those who do not see it"
    )


def test_the_readme_links_every_page() -> None:
    linked = set(re.findall(r"\]\((docs/\w+\.md)", README.read_text()))
    assert linked == {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_and_every_path_of_the_repository_leads_somewhere(page: Path) -> None:
    text = page.read_text()
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (page.parent / target).exists(), target
    headings = re.findall(r"^#+ (.*)", text, flags=re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9 -]", "", line.lower()).replace(" ", "-") for line in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= anchors
    rooted = r"^(?:tests|docs|launch|search_spaces|gazetune)/[\w./-]*\w$"
    for path in (line for line in code(page) if re.match(rooted, line)):
        assert (ROOT / path).exists(), path
