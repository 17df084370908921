"""Intervals, paired tests and sample sizes for runs that are scored on the same items.

An item is a preference pair. Its correctness is 1, 0, or one half for a tie (see `gazetune.evaluate.accuracy`).

    accuracy.py       the interval of one accuracy
    paired.py         two runs item by item: difference, interval, McNemar, sign flips, effect size
    bootstrap.py      the interval of a mean over items that come in groups (the pairs of one prompt)
    seeds.py          two arms, each trained with several seeds
    family.py         several comparisons at once: Holm, Benjamini and Hochberg
    power.py          the smallest difference that n pairs can show, and how many pairs or seeds one needs
    equivalence.py    "no difference larger than d"
    diagnostics.py    reliability of the rewards, accuracy by difference of length

What scipy has is scipy's. `scipy.stats` takes seconds to import, and workers that train ask for the interval of an
accuracy alone, which does without. So the functions that need it import it.
"""

from gazetune.evaluate.statistics.accuracy import accuracy_interval
from gazetune.evaluate.statistics.diagnostics import LengthBias, Reliability, measure_length_bias, measure_reliability
from gazetune.evaluate.statistics.equivalence import equivalence_p
from gazetune.evaluate.statistics.family import adjust_benjamini_hochberg, adjust_holm
from gazetune.evaluate.statistics.paired import (
    EffectSize,
    PairedDifference,
    mcnemar_p_less,
    paired_difference,
    paired_effect_size,
    paired_t_p_less,
    sign_flip_p,
)
from gazetune.evaluate.statistics.power import (
    POWER,
    TYPICAL_DISCORDANCE,
    pairs_needed,
    power_of_pairs,
    seeds_needed,
    smallest_detectable_difference,
)
from gazetune.evaluate.statistics.seeds import FEWEST_SEEDS_FOR_P, SeedsDifference, paired_difference_over_seeds

__all__ = [
    "FEWEST_SEEDS_FOR_P",
    "POWER",
    "TYPICAL_DISCORDANCE",
    "EffectSize",
    "LengthBias",
    "PairedDifference",
    "Reliability",
    "SeedsDifference",
    "accuracy_interval",
    "adjust_benjamini_hochberg",
    "adjust_holm",
    "equivalence_p",
    "mcnemar_p_less",
    "measure_length_bias",
    "measure_reliability",
    "paired_difference",
    "paired_difference_over_seeds",
    "paired_effect_size",
    "paired_t_p_less",
    "pairs_needed",
    "power_of_pairs",
    "seeds_needed",
    "sign_flip_p",
    "smallest_detectable_difference",
]
