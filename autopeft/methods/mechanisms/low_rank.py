"""What LoRA and its like count: two thin factors for every chosen linear. Imports no torch."""

from autopeft.methods.mechanisms.method import Method


class LowRank(Method):
    """A (r, i) and B (o, r), or blocks of as many numbers; settings rank and target_modules."""

    mergeable = True

    def count(self, settings, layers, shapes):
        return {
            x.path: settings["rank"] * (x.in_features + x.out_features)
            for x in shapes.select(settings["target_modules"], layers)
        }
