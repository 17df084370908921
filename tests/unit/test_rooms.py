"""Imports point down the way of the data, Ray stays in its rooms, and the command line starts without torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "gazetune"
ROOMS = (
    "errors",
    "files",
    "devices",
    "config",
    "gaze",
    "eyetracking",
    "pictures",
    "preferences",
    "reward",
    "explain",
    "evaluate",
    "tracking",
    "report",
    "train",
    "cluster",
    "trials",
    "search",
    "models",
    "ablation",
    "doctor",
    "cli",
)
"""Each room imports itself and the rooms before it."""
SUB_ROOMS = {
    "train": ("processes", "limits", "state", "scoring", "*"),
    "search": ("space", "study", "stopping", "confirmation", "planning"),
    "ablation": ("study", "*"),
}
"""In these rooms each folder imports itself and the folders before it.

`*` are the files that lie in no folder; where it is not listed, they may be imported from everywhere in the room.
"""
RAY_ROOMS = ("cluster", "trials", "search", "ablation")
RAY_FILES = ("gaze/store/parallel.py",)
LIGHT = ("errors", "files", "devices", "config", "preferences", "report", "cli")
"""Rooms that must not import torch when they are imported themselves."""

FILES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


def room_of(file: str) -> str:
    return file.partition("/")[0].removesuffix(".py")


def imported(nodes: Iterator[ast.AST] | list[ast.stmt]) -> set[str]:
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def imports_of(file: str) -> set[str]:
    return imported(ast.walk(ast.parse((PACKAGE / file).read_text())))


def test_every_file_lies_in_a_known_room() -> None:
    assert {room_of(file) for file in FILES} - {"__init__"} <= set(ROOMS)


@pytest.mark.parametrize("file", [file for file in FILES if file != "__init__.py"])
def test_a_room_imports_only_rooms_before_it(file: str) -> None:
    room = room_of(file)
    rooms = {name.split(".")[1] for name in imports_of(file) if name.startswith("gazetune.")} - {"__version__"}
    assert rooms <= set(ROOMS)
    later = {name for name in rooms if ROOMS.index(name) > ROOMS.index(room)}
    assert not later, f"{file} imports {later}, which come after {room}"


def sub_room_of(parts: list[str]) -> str:
    """The folder, in its room, of a file or module given by the parts of its path below the package."""
    return parts[1] if len(parts) > 2 and (PACKAGE / parts[0] / parts[1]).is_dir() else "*"


@pytest.mark.parametrize("file", [file for file in FILES if room_of(file) in SUB_ROOMS])
def test_a_folder_of_a_room_imports_only_the_folders_before_it(file: str) -> None:
    room = room_of(file)
    order = SUB_ROOMS[room]
    own = sub_room_of(file.split("/"))
    modules = [name.split(".")[1:] for name in imports_of(file) if name.startswith(f"gazetune.{room}.")]
    folders = {sub_room_of(parts) for parts in modules}
    if "*" not in order:
        folders -= {"*"}
        if own == "*":
            return
    assert {own} | folders <= set(order)
    later = {folder for folder in folders if order.index(folder) > order.index(own)}
    assert not later, f"{file} imports {later} of {room}/, which come after {own}"


@pytest.mark.parametrize("file", FILES)
def test_ray_is_imported_only_where_processes_are_started(file: str) -> None:
    uses_ray = any(name.split(".")[0] == "ray" for name in imports_of(file))
    assert not uses_ray or room_of(file) in RAY_ROOMS or file in RAY_FILES


@pytest.mark.parametrize("file", [file for file in FILES if room_of(file) in LIGHT])
def test_light_rooms_do_not_import_torch_at_module_level(file: str) -> None:
    tops = {name.split(".")[0] for name in imported(ast.parse((PACKAGE / file).read_text()).body)}
    assert "torch" not in tops


@pytest.mark.parametrize(
    "line",
    [
        ["status"],
        ["status", "no-such-search"],
        ["stop", "no-such-search"],
        ["report", "no-such-search"],
        ["space", "show", "demo"],
        ["search", "demo", "--set", "train.epoch=2"],
        ["search", "demo", "--set", "fusion.kind=ad"],
        ["search", "demo", "--name", "taken"],
        ["search", "--resume", "no-such-search"],
        ["ablate", "controls", "--show"],
        ["ablate", "controls", "--seeds", "1,1"],
        ["ablate", "controls", "--name", "taken"],
        ["ablate", "--resume", "no-such-ablation"],
    ],
)
def test_what_trains_nothing_and_what_is_refused_imports_nothing_that_takes_seconds(
    line: list[str], tmp_path: Path
) -> None:
    (tmp_path / "taken").mkdir()
    storage = [] if line[:2] == ["space", "show"] else ["--storage", str(tmp_path)]
    script = "import sys; from gazetune.cli.main import main; main(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"
    ended = subprocess.run([sys.executable, "-c", script, *line, *storage], capture_output=True, text=True, check=True)
    modules = {name.partition(".")[0] for name in ended.stderr.splitlines()[-1].split()}
    assert "optuna" in modules, ended.stderr
    assert not modules & {"torch", "transformers", "peft", "deepspeed", "ray", "mlflow", "datasets", "matplotlib"}


def test_no_imports_go_in_a_circle_not_even_deferred_ones() -> None:
    modules = {
        ".".join(("gazetune", *Path(file).with_suffix("").parts)).removesuffix(".__init__"): file for file in FILES
    }
    # Of `from package import module` both names are listed; a package itself is no part of a circle of its modules.
    imports = {
        name: {other for each in imports_of(file) for other in (each, each.rpartition(".")[0]) if other in modules}
        - {name}
        for name, file in modules.items()
        if name != "gazetune"  # it imports public names when they are asked for
    }
    while leaves := {name for name, needed in imports.items() if not needed & imports.keys()}:
        imports = {name: needed for name, needed in imports.items() if name not in leaves}
    assert not imports, f"in a circle, or leading into one: {sorted(imports)}"
