"""Packing: several runs that differ in their learning rate only, stepped together by one vmapped forward pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from autopeft.configuration import Configuration
from autopeft.methods import get_method
from autopeft.procedures import get_procedure
from autopeft.proxy.job import Job
from autopeft.proxy.packing_file import PackingFile
from autopeft.tasks.tokens import TokenisedTask

Family = tuple[Configuration, int]  # a configuration with its learning rate at 0, and how many of it are packed


def packable(configuration: Configuration, tokenised: TokenisedTask) -> bool:
    """Whether a packed step would compute what single steps do, as far as the configuration says.

    Not where a method adds a loss of its own, which reads the attached parameters, where a procedure takes its
    gradients in its own way, nor for metrics of generated texts, which are written by one model at a time.
    """
    if not all(get_method(name).packable for name in configuration.methods):
        return False
    return not (get_procedure(configuration.procedure).own_gradients or tokenised.kind.generates(tokenised.task.metric))


class Packing:
    """Whether a packed step takes less time than the same steps one after the other: timed once per family.

    Attributes:
        file: of the study, which keeps what was decided for other workers and for every resume.
    """

    def __init__(self, tokenised: TokenisedTask, wanted: bool) -> None:
        self.tokenised, self.wanted = tokenised, wanted
        self.timed: dict[Family, bool] = {}
        self.file: PackingFile | None = None

    def pays(
        self, jobs: Sequence[Job], alone: Callable[[Job], float], together: Callable[[Sequence[Job]], float | None]
    ) -> bool:
        """Decide for jobs of one family.

        Args:
            jobs: they differ in their learning rate only.
            alone: seconds of a step of one job.
            together: seconds of a packed step, None where it turns out that the runs have to be apart.
        """
        configuration = jobs[0].configuration
        if not (self.wanted and packable(configuration, self.tokenised)):
            return False
        family = replace(configuration, learning_rate=0.0), len(jobs)
        if family not in self.timed:
            kept = self._kept(family)
            self.timed[family] = self._timed(family, alone(jobs[0]), together(jobs)) if kept is None else kept
        return self.timed[family]

    def _kept(self, family: Family) -> bool | None:
        return self.file.read().get((family[0].key, family[1])) if self.file else None

    def _timed(self, family: Family, single: float, packed: float | None) -> bool:
        """Keep what the seconds per step say, unless another worker has meanwhile decided."""
        faster = packed is not None and packed < family[1] * single
        if self.file:
            self.file.add(*family, faster, {"alone": single, "together": packed})
            return self._kept(family) or False
        return faster
