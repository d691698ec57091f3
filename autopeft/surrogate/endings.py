"""Where a run that was stopped on the way would have ended, by what others had reached there and where they ended."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from autopeft.proxy.curve import Curve

FEW = 5  # points through which no line is drawn


def ending(finished: Iterable[tuple[Curve, float]]) -> Callable[[Curve], float]:
    """A function that says of a stopped run where it would have ended: on the least-squares line through the others.

    Args:
        finished: the curves of whole runs, and what each came to. What a stopped one comes to is no better than the best.
    """
    points: dict[int, list[tuple[float, float]]] = {}
    finished = list(finished)
    for curve, value in finished:
        for step, loss in zip(curve.steps, curve.validation_loss):
            if loss is not None:  # a benchmark may have measured none there
                points.setdefault(step, []).append((loss, value))
    lines = {step: line_through(found) for step, found in points.items()}
    ends = [value for _, value in finished]

    def end(curve: Curve) -> float:
        slope, start = lines.get(curve.steps[-1], (0.0, min(ends)))
        return float(np.clip(start + slope * curve.validation_loss[-1], min(ends), max(ends)))

    return end


def line_through(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """(slope, start) of the least-squares line; level at the mean of too few points."""
    losses, values = np.array(points).T
    if len(points) < FEW or np.ptp(losses) == 0:
        return 0.0, float(values.mean())
    slope, start = np.polyfit(losses, values, 1)
    return float(slope), float(start)
