"""Every decision of a history, in the order it was made: drawn by a seed, or given. The first of all alternatives is
always the harmless one, so that a list with more zeros, or a shorter one, is a simpler history."""

import random
from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate


class Choices:
    """A source of decisions that remembers them."""

    def __init__(self, seed: int | None = None, given: Sequence[int] = ()) -> None:
        self._dice = None if seed is None else random.Random(seed)
        self._given = list(given)
        self.made: list[int] = []

    def pick(self, weights: Sequence[float]) -> int:
        """Return the index of one of the alternatives."""
        if self._dice is not None:
            # As random.choices() does it, whose preparations took longer than the draw.
            upto = list(accumulate(weights))
            found = bisect(upto, self._dice.random() * upto[-1], 0, len(upto) - 1) if len(upto) > 1 else 0
        else:
            position = len(self.made)
            found = self._given[position] if position < len(self._given) else 0
            if not (found < len(weights) and weights[found] > 0):
                found = 0
        self.made.append(found)
        return found

    def chance(self, probability: float) -> bool:
        if probability <= 0:
            return False
        if self._dice is None:
            return self.pick((1 - probability, probability)) == 1
        found = self._dice.random() >= 1 - probability
        self.made.append(int(found))
        return found
