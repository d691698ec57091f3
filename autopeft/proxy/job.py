"""Job: a part of one training run, and what it gave."""

from dataclasses import dataclass, replace
from typing import Literal

from autopeft.configuration import Configuration
from autopeft.proxy.curve import Curve


@dataclass(frozen=True)
class Job:
    """Train a configuration with a seed from where `state` left it up to step `until` of `steps`.

    steps: length of the whole run, over which the learning rate warms up and falls to zero.
    evaluation_steps: steps after which the validation split is scored, beside `until`.
    rows: how many validation rows are scored (None: all), the same ones for every job, of every class its share.
    state: a Run's bytes at the end of an earlier part, None to begin. keep_state: give the state at `until` back.
    test: also score the test split, at the end. proxy: train on the trainer's proxy rows only, where it has some.
    units: keep what "score" or "loss" is on each unit of the splits that are scored at the end.
    measure: names of objectives that are measured on this machine before the run begins.
    patience: end the run after so many evaluations without a lower validation loss, and give what the best one had; of
        runs in one piece only.
    """

    configuration: Configuration
    seed: int
    steps: int
    until: int
    evaluation_steps: tuple[int, ...] = ()
    rows: int | None = None
    state: bytes | None = None
    keep_state: bool = False
    test: bool = False
    proxy: bool = False
    units: Literal["score", "loss"] | None = None
    measure: tuple[str, ...] = ()
    patience: int | None = None

    @property
    def scored(self) -> frozenset[int]:
        """The steps after which the validation split is scored."""
        return frozenset({*self.evaluation_steps, self.until})

    @property
    def family(self) -> tuple["Job", bool]:
        """Jobs of one family differ in their learning rate only and can be trained in one batch."""
        begun = self.state is not None
        return replace(self, configuration=replace(self.configuration, learning_rate=0.0), state=None), begun


@dataclass(frozen=True)
class JobResult:
    """The curve of a job's part of a run, or why it failed; with the state to resume from."""

    curve: Curve | None
    state: bytes | None = None
    failure: str | None = None


def packs(jobs: list[Job]) -> list[list[int]]:
    """Jobs -> their numbers, grouped by family; most frozen blocks first, so that the shallower find them stored."""
    groups: dict[tuple, list[int]] = {}
    for number, job in enumerate(jobs):
        groups.setdefault(job.family, []).append(number)

    def frozen(group: list[int]) -> float:
        depth = jobs[group[0]].configuration.frozen_layers
        return float("inf") if depth is None else depth

    return sorted(groups.values(), key=frozen, reverse=True)
