"""The trials so far -> the configuration to try next, by what the gain model expects.

Tried may be what differs in one thing from a member of the front so far, what the portfolio still holds, and a spread sample
of the space. The model has seen the benchmark of tasks and this study's own trials.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from autopeft.base.pareto import non_dominated
from autopeft.configuration import Configuration
from autopeft.objectives import Objectives
from autopeft.objectives.parameters import PARAMETERS
from autopeft.space import SearchSpace
from autopeft.space.neighbours import neighbours
from autopeft.space.portfolio import is_in
from autopeft.space.spread_sample import spread_sample
from autopeft.study.candidates import parts
from autopeft.study.records import TrialRecord
from autopeft.surrogate.acquisition import best_additions, on_the_models_scale
from autopeft.surrogate.endings import ending
from autopeft.surrogate.gain_model import GainModel, Witness, placed

SAMPLED = 80  # configurations that are drawn from the space
MOST = 200  # trials that the model is told, the latest; and the front's
LEAST = 4  # complete trials without which scores have no scale


@dataclass(frozen=True)
class Proposals:
    """What a study may try next.

    Attributes:
        space: with the limits that everything keeps to.
        objectives: the study's; the model knows of parameters and one quality only.
        model: of the gains.
    """

    space: SearchSpace
    objectives: Objectives
    model: GainModel
    _places: dict[Configuration, Witness] = field(default_factory=dict, compare=False, repr=False)
    _in_space: dict[Configuration, bool] = field(default_factory=dict, compare=False, repr=False)

    def next(
        self, trials: Sequence[TrialRecord], offered: Iterable[Configuration], seed: int, number: int = 1
    ) -> list[Configuration]:
        """What is expected to add most to the front, each after those before it; nothing where too little is known.

        Args:
            trials: all that there are, those that run among them.
            offered: what may be tried besides the front's neighbours and what is drawn from the space.
            seed: of every draw.
            number: how many are wanted.
        """
        if tuple(self.objectives.others) != (PARAMETERS,):
            return []
        scored = self._scored(trials)
        if sum(t.state == "complete" for t, _ in scored) < LEAST:
            return []
        tried = {parts(t.configuration) for t in trials if t.configuration}
        near = [c for c in (*offered, *self._near_the_front(scored)) if self._is_in(c)]
        candidates = [*near, *spread_sample(self.space, SAMPLED, seed)]
        untried = {parts(c): c for c in candidates if c.layers and parts(c) not in tried}
        if not untried:
            return []
        running = [self._placed(t.configuration) for t in trials if t.state == "running" and t.configuration]
        places = [self._placed(c) for c in untried.values()]
        chosen = best_additions(self.model, places, self._seen(scored), running, self._largest, seed, number)
        return [list(untried.values())[place] for place in chosen]

    @property
    def _largest(self) -> float:
        shapes, limits = self.space.shapes, self.space.limits
        most = {x.objective.name: x.most for x in limits.limits}.get(PARAMETERS.name) if limits else None
        return float(np.log10((most or shapes.backbone_parameters) / shapes.backbone_parameters))

    def _placed(self, configuration: Configuration) -> Witness:
        if configuration not in self._places:
            self._places[configuration] = placed(configuration, self.space.shapes)
        return self._places[configuration]

    def _is_in(self, configuration: Configuration) -> bool:
        if configuration not in self._in_space:
            self._in_space[configuration] = is_in(self.space, configuration)
        return self._in_space[configuration]

    def _scored(self, trials: Sequence[TrialRecord]) -> list[tuple[TrialRecord, float]]:
        """Trials with their score, higher is better; of one that was stopped where its last loss points.

        Of more than MOST those on the front and the latest.
        """
        quality = self.objectives.quality
        done = [t for t in trials if t.curve and t.configuration and t.configuration.layers]
        whole = [(t, -quality.cost(v)) for t in done if t.state == "complete" and (v := quality.value(t)) is not None]
        end = ending((t.curve, score) for t, score in whole if t.curve)
        scored = whole + [(t, end(t.curve)) for t in done if t.state == "pruned" and t.curve and whole]
        if len(scored) <= MOST:
            return scored
        front = {t.number for (t, _), member in zip(scored, on_front(scored)) if member}
        latest = {t.number for t in done[-MOST:]}
        return [(t, score) for t, score in scored if t.number in front | latest]

    def _seen(self, scored: Sequence[tuple[TrialRecord, float]]) -> list[Witness]:
        trained = [self._placed(t.configuration) for t, _ in scored if t.configuration]
        whole = [t.state == "complete" for t, _ in scored]
        return on_the_models_scale(self.model, trained, [score for _, score in scored], whole)

    def _near_the_front(self, scored: Sequence[tuple[TrialRecord, float]]) -> Iterable[Configuration]:
        branches = {b.name: b for b in self.space.affordable() if len(b.parts) == 1}
        for (trial, _), member in zip(scored, on_front(scored)):
            made = trial.configuration
            if member and made and made.method in branches:
                yield from neighbours(made, branches[made.method])


def on_front(scored: Sequence[tuple[TrialRecord, float]]) -> NDArray[np.bool_]:
    """Which trials no other with no more parameters beats."""
    return non_dominated([(t.trainable or 0, -score) for t, score in scored])
