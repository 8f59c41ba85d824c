"""Named kinds of worlds: the general one, and some that are made for one danger."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from kestrapy.sim.options import Options, draw_options

GENERAL = "general"


def _general(random: Random) -> Options:
    return draw_options(random)


SCENARIOS: dict[str, Callable[[Random], Options]] = {GENERAL: _general}
