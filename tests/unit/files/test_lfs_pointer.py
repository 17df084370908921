from __future__ import annotations

from pathlib import Path

import pytest

from gazetune.errors import InputError
from gazetune.files.lfs_pointer import is_lfs_pointer, refuse_lfs_pointer

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0\nsize 12345\n"


def test_a_pointer_is_told_from_a_file_that_begins_alike(tmp_path: Path) -> None:
    pointer, other, empty = (tmp_path / name for name in ("pointer", "other", "empty"))
    pointer.write_text(POINTER)
    other.write_text("version https://example.org\n")
    empty.write_bytes(b"")
    assert [is_lfs_pointer(path) for path in (pointer, other, empty)] == [True, False, False]


def test_a_pointer_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_text(POINTER)
    with pytest.raises(InputError) as refusal:
        refuse_lfs_pointer(path)
    assert str(refusal.value) == (
        f"{path}: is a Git LFS pointer, not the file itself; git lfs pull in its folder fetches it"
    )


def test_a_file_that_is_gone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone: cannot be read \(No such file"):
        refuse_lfs_pointer(tmp_path / "gone")
