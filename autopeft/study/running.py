"""RunningTrial: a trial of the search that has not ended; and who trains it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import optuna

from autopeft.configuration import Configuration
from autopeft.executor.order import Answer, Order
from autopeft.proxy.curve import Curve

Train = Callable[[list[Order]], Iterator[tuple[int, Answer]]]  # orders -> (number, what it gave), as they end


@dataclass(frozen=True)
class RunningTrial:
    """A trial that has not ended, and what it has measured so far.

    Attributes:
        rates: learning rates of which it is to choose one first; none where its configuration's stands.
    """

    trial: optuna.Trial
    configuration: Configuration
    curve: Curve | None = None
    rates: tuple[float, ...] = ()
    failed: bool = False

    @property
    def number(self) -> int:
        """The number of the Optuna trial."""
        return self.trial.number
