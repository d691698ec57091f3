"""What differs from a configuration in one thing: its layers, or one setting by one step."""

from collections.abc import Iterator

from autopeft.configuration import Configuration, Scalar
from autopeft.space.branch import Branch


def neighbours(configuration: Configuration, branch: Branch) -> Iterator[Configuration]:
    """Configurations of the same method, at the same learning rate.

    Args:
        configuration: of one method.
        branch: its method's in a space.

    Yields:
        With the next smaller and larger number of each setting, with each other word, and with fewer and more layers from
        the top.
    """
    settings, layers = dict(configuration.settings), configuration.layers
    for name, values in branch.choices:
        for value in beside(settings.get(name), values):
            yield branch.configuration({**settings, name: value}, layers, configuration.learning_rate)
    if branch.layers in ("any", "bits", "suffix"):
        top = branch.shapes.num_layers
        for number in sorted({len(layers) // 2, len(layers) - 1, len(layers) + 1, 2 * len(layers)}):
            if 0 < number <= top and number != len(layers):
                yield branch.configuration(settings, range(top - number, top), configuration.learning_rate)


def beside(value: Scalar | None, values: tuple[Scalar, ...]) -> list[Scalar]:
    """The numbers on both sides of a number; of anything else all other values."""
    if value not in values:
        return []
    if not all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
        return [v for v in values if v != value]
    ordered = sorted(values)
    at = ordered.index(value)
    return ordered[max(0, at - 1) : at] + ordered[at + 1 : at + 2]
