"""The words of the planted data: small lists, and the rule that makes thousands of nouns of them."""

from __future__ import annotations

_DEFINITE = "truly firmly surely exactly clearly plainly directly securely certainly definitely"
_HEDGING = "maybe almost mostly perhaps roughly vaguely possibly arguably seemingly apparently"
_ADJECTIVES = """
    broad bright calm careful clean cold crooked dark deep dim dry empty faded fair fine flat fresh gentle golden green
    heavy hollow humble large late light little long loose low mellow narrow neat new old open orange pale patient
    quick quiet rare red rough round rusty sharp short simple slow small smooth soft solid square steady sturdy sweet
    tall thin tidy warm wide wooden yellow young
"""
_VERBS = """
    bend block borrow clean collect count cover draw drop fill find fold follow gather guard hang hide hold join keep
    lend lift light load lower mark measure mend move need open order paint plant press pull raise repair roll scan
    seal select shape show sort spin stack steer store support test tilt trace trade trim turn view visit warm weigh
    wrap
"""
_MATERIALS = """
    amber ash barn birch brick bronze cedar chalk clay cloud coal copper coral corn cotton creek dust elm fern field
    fire forest frost garden grain harbor hazel hill honey iron island ivory lake leaf linen maple meadow mill moon
    moss oak ocean paper pebble pine rain river salt silver snow star stone summer wheat willow winter
"""
_THINGS = """
    basket bell bench blanket board boat bottle bowl bridge bucket button cabin carpet cart chair chart coat cord crate
    cup desk door drum fence flag frame gate glove hammer handle hook jar kettle ladder lantern map mirror net path
    pillar pipe plank quilt ring road rope seat shield shop table tower wagon wheel window
"""

DEFINITE = tuple(_DEFINITE.split())
"""Adverbs that raise a reply's planted text score by one each."""
HEDGING = tuple(_HEDGING.split())
"""Adverbs that lower it by one each. They have the lengths of `DEFINITE`, so the number of characters says nothing."""
ADJECTIVES = tuple(_ADJECTIVES.split())
VERBS = tuple(_VERBS.split())
"""Transitive; the third person adds an s."""
NOUNS = tuple(material + thing for material in _MATERIALS.split() for thing in _THINGS.split())
"""Compounds such as `riverlantern`; the plural adds an s."""
