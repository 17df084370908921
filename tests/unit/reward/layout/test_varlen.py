"""Which GPUs have the kernel for texts without padding; no GPU is asked."""

from __future__ import annotations

import pytest

from gazetune.reward.layout.varlen import explain_no_varlen, find_varlen, takes_width


def of_torch_2_10(query: object, key: object, *, is_causal: bool = False) -> None:
    """A kernel without windows and without fewer heads of keys than of queries."""


def test_the_kernel_of_this_torch_takes_what_it_is_called_with() -> None:
    assert explain_no_varlen(find_varlen(), (8, 0)) is None
    assert explain_no_varlen(find_varlen(), (12, 0)) is None


@pytest.mark.parametrize("capability", [(7, 5), (6, 0)])
def test_a_gpu_before_ampere_has_no_kernel_though_torch_has_the_module(capability: tuple[int, int]) -> None:
    told = explain_no_varlen(find_varlen(), capability)
    assert told == f"varlen_attn needs compute capability 8.0, this GPU has {capability[0]}.{capability[1]}"


def test_a_kernel_of_an_older_torch_is_not_called_with_what_it_does_not_take() -> None:
    assert explain_no_varlen(None, (9, 0)) == "this torch has no varlen_attn"
    told = explain_no_varlen(of_torch_2_10, (9, 0))
    assert told == "varlen_attn of this torch does not take scale, window_size, enable_gqa"


def test_heads_that_the_kernel_does_not_take() -> None:
    assert [takes_width(width) for width in (64, 256, 12, 264)] == [True, True, False, False]
