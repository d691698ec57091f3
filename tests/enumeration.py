"""Every configuration that a search space can sample, one after the other."""


class Exhaustive:
    """A Suggester that tries every combination of values, one sample after the other."""

    def __init__(self):
        self._path, self._at, self.done = [], 0, False

    def suggest_categorical(self, name, choices, allowed, weights=None):
        assert allowed and set(allowed) <= set(choices)
        if self._at == len(self._path):
            self._path.append([0, len(allowed)])
        chosen = self._path[self._at][0]
        self._at += 1
        return allowed[chosen]

    def suggest_float(self, name, low, high):
        assert 0 < low < high
        return low

    def advance(self):
        self._at = 0
        while self._path and self._path[-1][0] + 1 == self._path[-1][1]:
            self._path.pop()
        if self._path:
            self._path[-1][0] += 1
        self.done = not self._path


def every_configuration(space):
    suggester, found = Exhaustive(), []
    while not suggester.done:
        found.append(space.sample(suggester))
        suggester.advance()
    return found
