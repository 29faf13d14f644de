"""Every decision of a history, in the order it was made: drawn by a seed, or given. The first of all alternatives is
always the harmless one, so that a list with more zeros, or a shorter one, is a simpler history."""

import random
from collections.abc import Sequence


class Choices:
    """A source of decisions that remembers them."""

    def __init__(self, seed: int | None = None, given: Sequence[int] = ()) -> None:
        self._dice = None if seed is None else random.Random(seed)
        self._given = list(given)
        self.made: list[int] = []

    def pick(self, weights: Sequence[float]) -> int:
        """Return the index of one of the alternatives."""
        if self._dice is not None:
            found = self._dice.choices(range(len(weights)), weights)[0] if len(weights) > 1 else 0
        else:
            position = len(self.made)
            found = self._given[position] if position < len(self._given) else 0
            if not (found < len(weights) and weights[found] > 0):
                found = 0
        self.made.append(found)
        return found

    def chance(self, probability: float) -> bool:
        return probability > 0 and self.pick((1 - probability, probability)) == 1
