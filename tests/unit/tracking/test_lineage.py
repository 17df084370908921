from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

import gazetune
from gazetune.tracking import lineage


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a package in a fresh git repository, standing in for this one's."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    package = tmp_path / "repository" / "gazetune"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    git(package.parent, "init", "-q")
    monkeypatch.setattr(gazetune, "__file__", str(package / "__init__.py"))
    return package


def test_a_checkout_tells_its_commit_and_whether_it_was_changed(package: Path) -> None:
    git(package, "add", ".")
    git(package, "commit", "-qm", "first")
    commit = git(package, "rev-parse", "--short=12", "HEAD")
    assert lineage.code_version() == f"{gazetune.__version__}+g{commit}"
    (package / "untracked.txt").write_text("no code")
    assert lineage.code_version() == f"{gazetune.__version__}+g{commit}"
    (package / "__init__.py").write_text("changed = 1")
    assert lineage.code_version() == f"{gazetune.__version__}+g{commit}.dirty"


def test_a_package_inside_a_repository_that_does_not_track_it_is_no_checkout(package: Path) -> None:
    (package.parent / "other.txt").write_text("")
    git(package.parent, "add", "other.txt")
    git(package.parent, "commit", "-qm", "first")
    assert lineage.code_version() == gazetune.__version__


def test_without_git_the_version_stands_alone(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(package))
    assert lineage.code_version() == gazetune.__version__


def test_versions_name_what_is_installed() -> None:
    versions = lineage.package_versions()
    assert versions["mlflow"].startswith("3.") and versions["ray"].startswith("2.") and versions["python"] >= "3.11"
