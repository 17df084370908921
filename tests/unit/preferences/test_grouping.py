from __future__ import annotations

from gazetune.preferences.grouping import link_groups, prompt_group
from gazetune.preferences.pair import Message, PreferencePair


def _pair(prompt: str, group: str) -> PreferencePair:
    return PreferencePair((Message("user", prompt),), "yes", "no", group, "made:1")


def test_prompts_that_differ_in_case_and_white_space_are_one_group() -> None:
    assert prompt_group([Message("user", " How  are\nyou?")]) == prompt_group([Message("user", "how are you?")])


def test_prompts_with_other_words_roles_or_turns_are_other_groups() -> None:
    prompts = [
        [Message("user", "a b")],
        [Message("user", "ab")],
        [Message("system", "a b")],
        [Message("user", "a"), Message("user", "b")],
    ]
    assert len({prompt_group(prompt) for prompt in prompts}) == 4


def test_pairs_are_linked_through_groups_and_through_prompts() -> None:
    pairs = [_pair("p", "tree1"), _pair("q", "tree1"), _pair("q", "tree2"), _pair("r", "tree2"), _pair("s", "tree3")]
    names = link_groups(pairs)
    assert len(set(names[:4])) == 1
    assert names[4] != names[0]


def test_names_of_linked_groups_do_not_depend_on_the_order() -> None:
    pairs = [_pair("p", "tree9"), _pair("q", "tree9"), _pair("q", "tree2"), _pair("s", "tree3")]
    assert link_groups(pairs) == link_groups(pairs[::-1])[::-1]
