"""Which part of a search space keeps to the limits of a study."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import product

from autopeft.configuration import Configuration, Scalar
from autopeft.objectives import Limit, Limits
from autopeft.procedures import get_procedure
from autopeft.space.branch import Branch

RATE = 1e-3  # of a configuration that is only counted


class Feasible:
    """Answers by counting, before anything is trained.

    Every limit grows with the set of adapted layers, so the answer for a set holds for what is added to it: if nothing
    with these layers keeps to the limits, nothing with more of them does.
    """

    def __init__(self, limits: Limits | None) -> None:
        self._limits = limits
        self._cheapest: dict[tuple[str, str], dict[str, Scalar]] = {}
        self._found: dict[tuple[str, tuple[int, ...]], bool] = {}
        self._met: dict[Configuration, bool] = {}

    def branch(self, branch: Branch) -> bool:
        """Whether a branch has any configuration that keeps to the limits."""
        return any(self.layers(branch, layers) for layers in branch.smallest_layer_sets)

    def layers(self, branch: Branch, layers: tuple[int, ...]) -> bool:
        """Whether any settings of a branch keep to the limits with these layers adapted."""
        if self._limits is None:
            return True
        if (key := (branch.name, layers)) not in self._found:
            self._found[key] = self._any_settings(branch, layers)
        return self._found[key]

    def settings(self, branch: Branch, chosen: Mapping[str, Scalar], layers: tuple[int, ...]) -> bool:
        """Whether the settings chosen so far can be completed to a configuration that keeps to the limits.

        Of a combination something has to be left on, limits or not.

        Args:
            branch: a method of the space.
            chosen: the settings chosen so far.
            layers: the adapted blocks.
        """
        completed = (branch.configuration(s, layers, RATE) for s in branch.completions(chosen))
        return any(self._limits is None or self._meet(c) for c in completed)

    def _meet(self, configuration: Configuration) -> bool:
        """Whether a configuration keeps to the limits; counted once."""
        assert self._limits is not None
        if configuration not in self._met:
            self._met[configuration] = self._limits.meet(configuration)
        return self._met[configuration]

    def trained_by(
        self,
        configuration: Configuration,
        procedure: str,
        choices: Mapping[str, tuple[Scalar, ...]],
        chosen: Mapping[str, Scalar],
    ) -> bool:
        """Whether a configuration that keeps to the limits still can when a procedure trains it.

        Args:
            configuration: trained plainly.
            procedure: what trains it instead.
            choices: the values that each of the procedure's settings may take.
            chosen: the settings chosen so far.
        """
        if self._limits is None or procedure == "plain":
            return True
        open_ = {name: values for name, values in choices.items() if name not in chosen}
        for rest in product(*open_.values()):
            how = {**get_procedure(procedure).defaults, **chosen, **dict(zip(open_, rest))}
            made = replace(configuration, procedure=procedure, procedure_settings=tuple(sorted(how.items())))
            if self._limits.meet(made):
                return True
        return False

    def smallest(self, branches: list[Branch]) -> str:
        """What to say when none of these branches keeps to the limits: the limit, and the smallest there is."""
        assert self._limits is not None
        for limit in self._limits.limits:
            values = {b.name: min(self._least(limit, b, x) for x in b.smallest_layer_sets) for b in branches}
            name = min(values, key=lambda n: values[n])
            if values[name] > limit.most:
                show = limit.objective.words
                return (
                    f"keeps to the limit of {show(limit.most)} on {limit.objective.name} ({limit.objective.title}): the "
                    f"smallest is {name} with {show(values[name])}."
                )
        names = " and ".join(x.objective.name for x in self._limits.limits)
        return f"keeps to the limits on {names} together, though each alone is met: raise one of them."

    def _any_settings(self, branch: Branch, layers: tuple[int, ...]) -> bool:
        assert self._limits is not None
        limits = self._limits.limits
        if any(self._least(limit, branch, layers) > limit.most for limit in limits):
            return False
        return len(limits) == 1 or self.settings(branch, {}, layers)

    def _least(self, limit: Limit, branch: Branch, layers: tuple[int, ...]) -> float:
        """The least that a branch comes to with these layers, with the settings that are cheapest on all layers."""
        assert self._limits is not None
        setting, key = self._limits.setting, (branch.name, limit.objective.name)
        if key not in self._cheapest:
            self._cheapest[key] = min(
                branch.completions({}),
                key=lambda s: limit.value(branch.configuration(s, branch.all_layers, RATE), setting),
            )
        return limit.value(branch.configuration(self._cheapest[key], layers, RATE), setting)
