"""SpaceFile + backbone + layer scores + limits -> SearchSpace, which samples configurations."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod
from typing import Any, Protocol

from autopeft.backbone.shapes import BackboneShapes
from autopeft.base.errors import AutopeftError
from autopeft.configuration import Configuration, Scalar
from autopeft.importance.prior import frozen_layers_weights, layer_on_probability
from autopeft.importance.scores import LayerScores
from autopeft.methods import get_method, refusal
from autopeft.objectives import Limits
from autopeft.procedures import get_procedure
from autopeft.space.branch import Branch, method_choices, setting_choices
from autopeft.space.feasible import Feasible
from autopeft.space.space_file import SpaceFile

RATE = 1e-3  # of a configuration that is only counted


class Suggester(Protocol):
    """Whoever decides the value of a parameter: an Optuna trial, a random generator, a fixed assignment."""

    def suggest_categorical(
        self, name: str, choices: tuple, allowed: tuple, weights: Mapping[Any, float] | None = None
    ) -> Any:
        """Choose a value.

        Args:
            name: the parameter's name, as Optuna stores it.
            choices: every value that the parameter can have, the same in all trials.
            allowed: those that keep to the limits after what was chosen before.
            weights: the prior over the values; uniform if None.

        Returns:
            One of `allowed`.
        """

    def suggest_float(self, name: str, low: float, high: float) -> float:
        """Choose a number, on a log scale.

        Args:
            name: the parameter's name, as Optuna stores it.
            low: the lower end of the range.
            high: the upper end.

        Returns:
            A number in the range.
        """


@dataclass(frozen=True)
class SearchSpace:
    """All configurations of a space on one backbone, and the prior over their layers."""

    name: str
    branches: tuple[Branch, ...]
    refused: dict[str, str]  # method -> why it does not fit this backbone
    shapes: BackboneShapes
    limits: Limits | None = None
    scores: LayerScores | None = None
    procedures: dict[str, dict[str, tuple]] = field(default_factory=dict)  # name -> settings' choices, plain aside

    @property
    def configurations(self) -> int:
        """The exact number of different configurations, the learning rate (continuous) and the budget aside."""
        probe_listed = any(b.name == "head_only" for b in self.branches)
        searched = sum(b.configurations * self.trainings(b) for b in self.branches)
        return searched + int(not probe_listed and any(b.adapts_nothing_too for b in self.branches))

    @property
    def assignments(self) -> int:
        """The number of discrete parameter assignments, those that mean the same configuration counted apart."""
        total = 0
        for branch in self.branches:
            sets = 2**self.shapes.num_layers if branch.layers == "bits" else branch.layer_sets
            for _, values in branch.choices:
                sets *= len(values)
            total += sets * self.trainings(branch)
        return total

    def procedures_for(self, branch: Branch) -> tuple[str, ...]:
        """The procedures that can train a branch, plain training first; () where there is nothing to choose."""
        if not self.procedures or branch.layers == "none":
            return ()
        fitting = [p for p in self.procedures if not get_procedure(p).refuses(branch.parts, self.shapes)]
        return ("plain", *fitting)

    def refused_procedures(self) -> dict[str, dict[str, str]]:
        """Procedure -> method that it cannot train -> why."""
        adapting = [b for b in self.branches if b.layers != "none"]
        why = {p: {b.name: get_procedure(p).refuses(b.parts, self.shapes) for b in adapting} for p in self.procedures}
        return {p: kept for p, found in why.items() if (kept := {m: w for m, w in found.items() if w})}

    def trainings(self, branch: Branch) -> int:
        """In how many ways a configuration of this branch can be trained."""
        named = [p for p in self.procedures_for(branch) if p != "plain"]
        return 1 + sum(prod(len(v) for v in self.procedures[p].values()) for p in named)

    @cached_property
    def feasible(self) -> Feasible:
        """What keeps to the limits."""
        return Feasible(self.limits)

    def affordable(self) -> tuple[Branch, ...]:
        """The branches with at least one configuration that keeps to every limit.

        Raises:
            AutopeftError: no branch that adapts a layer has one; the sentence names the smallest that there is.
        """
        adapting = [b for b in self.branches if b.layers != "none"]
        if adapting and not any(self.feasible.branch(b) for b in adapting):
            raise AutopeftError(f"No configuration of space '{self.name}' {self.feasible.smallest(adapting)}")
        return tuple(b for b in self.branches if self.feasible.branch(b))

    def sample(self, suggester: Suggester, exclude: Collection[str] = ()) -> Configuration:
        """Make one configuration, parameter by parameter; only values that can still keep to the limits are allowed.

        Args:
            suggester: decides each parameter.
            exclude: branches that are not to be chosen, unless there is no other.

        Returns:
            The configuration, which keeps to every limit.
        """
        names = tuple(b.name for b in self.branches)
        affordable = {b.name: b for b in self.affordable()}
        allowed = tuple(n for n in affordable if n not in exclude) or tuple(affordable)
        branch = affordable[suggester.suggest_categorical("method", names, allowed)]
        layers = self._layers(branch, suggester)
        settings = self._settings(branch, layers, suggester)
        procedure, how = self._procedure(branch, branch.configuration(settings, layers, RATE), suggester)
        rate = suggester.suggest_float(f"{branch.name}.learning_rate", *branch.learning_rate)
        made = branch.configuration(settings, layers, rate * get_procedure(procedure).learning_rate_factor)
        if procedure == "plain" or made.method == "head_only":
            return made
        return replace(made, procedure=procedure, procedure_settings=tuple(sorted(how.items())))

    def _procedure(self, branch: Branch, made: Configuration, suggester: Suggester) -> tuple[str, dict[str, Scalar]]:
        feasible, offered = self.feasible.trained_by, self.procedures
        allowed = tuple(p for p in self.procedures_for(branch) if feasible(made, p, offered.get(p, {}), {}))
        if not allowed:
            return "plain", {}
        name = suggester.suggest_categorical("procedure", ("plain", *offered), allowed)
        choices, how = offered.get(name, {}), dict[str, Scalar]()
        for k, values in choices.items():
            within = tuple(v for v in values if feasible(made, name, choices, {**how, k: v}))
            how[k] = suggester.suggest_categorical(f"{name}.{k}", values, within)
        return name, how

    def _layers(self, branch: Branch, suggester: Suggester) -> tuple[int, ...]:
        if branch.layers in ("all", "none"):
            return branch.all_layers
        top = self.shapes.num_layers
        if branch.layers == "bits":
            return self._bits(branch, (), range(top), suggester)
        weights = dict(enumerate(frozen_layers_weights(self.scores, top)))
        adapted = (lambda f: tuple(range(f, top))) if branch.layers == "suffix" else (lambda f: (f,))
        allowed = tuple(f for f in branch.depths if self.feasible.layers(branch, adapted(f)))
        frozen = suggester.suggest_categorical("frozen_layers", tuple(range(top)), allowed, weights)
        if branch.layers in ("suffix", "one"):
            return adapted(frozen)
        return self._bits(branch, (frozen,), range(frozen + 1, top), suggester)

    def _bits(
        self, branch: Branch, chosen: tuple[int, ...], layers: Iterable[int], suggester: Suggester
    ) -> tuple[int, ...]:
        """One bit per layer, the most promising layer first, so that a tight budget goes to it."""
        on = layer_on_probability(self.scores, self.shapes.num_layers)
        order = sorted(layers, key=lambda layer: -on[layer])
        for place, layer in enumerate(order):
            affordable = self.feasible.layers(branch, tuple(sorted((*chosen, layer))))
            last = not chosen and not any(self.feasible.layers(branch, (x,)) for x in order[place + 1 :])
            allowed = (True,) if affordable and last else (False, True) if affordable else (False,)
            if suggester.suggest_categorical(
                f"layer.{layer}", (False, True), allowed, {False: 1 - on[layer], True: on[layer]}
            ):
                chosen = (*chosen, layer)
        return tuple(sorted(chosen))

    def _settings(self, branch: Branch, layers: tuple[int, ...], suggester: Suggester) -> dict[str, Scalar]:
        settings: dict[str, Scalar] = {}
        for name, values in branch.choices:
            allowed = tuple(v for v in values if self.feasible.settings(branch, {**settings, name: v}, layers))
            full = name if "." in name else f"{branch.name}.{name}"
            settings[name] = suggester.suggest_categorical(full, values, allowed)
        return settings

    def dimensions(self) -> list[dict[str, Any]]:
        """What a configuration is sampled from, one row per parameter: name, what it belongs to, choices or range."""
        rows: list[dict[str, Any]] = [
            {"name": "method", "of": "every configuration", "choices": [b.name for b in self.branches]}
        ]
        kinds = {b.layers for b in self.branches}
        if kinds & {"any", "suffix", "one"}:
            depths = sorted({f for b in self.branches if b.layers in ("any", "suffix", "one") for f in b.depths})
            rows.append({"name": "frozen_layers", "of": "methods with a choice of layers", "choices": depths})
        if kinds & {"any", "bits"}:
            rows.append(
                {
                    "name": f"layer.0 ... layer.{self.shapes.num_layers - 1}",
                    "of": "layers above the frozen prefix",
                    "choices": [False, True],
                }
            )
        if self.procedures:
            rows.append(
                {"name": "procedure", "of": "methods that adapt layers", "choices": ["plain", *self.procedures]}
            )
            rows += [
                {"name": f"{p}.{k}", "of": p, "choices": list(v)}
                for p, choices in self.procedures.items()
                for k, v in choices.items()
            ]
        for branch in self.branches:
            rows += [
                {"name": n if "." in n else f"{branch.name}.{n}", "of": branch.name, "choices": list(v)}
                for n, v in branch.choices
            ]
            rows.append(
                {"name": f"{branch.name}.learning_rate", "of": branch.name, "range": list(branch.learning_rate)}
            )
        return rows


def build_space(
    name: str,
    file: SpaceFile,
    shapes: BackboneShapes,
    limits: Limits | None = None,
    scores: LayerScores | None = None,
) -> SearchSpace:
    """Build a space on a backbone; methods that do not fit it are left out with the reason.

    Args:
        name: of the space, for messages.
        file: what the space may contain.
        shapes: the backbone's sizes.
        limits: what no configuration may exceed.
        scores: the layer scores that weight the layers.

    Raises:
        AutopeftError: a method or setting is unknown, or no method is left.
    """
    asked: dict[str, tuple[str, ...]] = {method: (method,) for method in file.methods}
    if file.combination:
        asked["combination"] = tuple(file.combination)
    refused = {branch: why for branch, parts in asked.items() if (why := refusal("+".join(parts), shapes))}
    branches = [_branch(b, parts, file, shapes, f"space '{name}'") for b, parts in asked.items() if b not in refused]
    if not branches:
        raise AutopeftError(
            f"No method of space '{name}' fits {shapes.name}: "
            + "; ".join(f"{m}: {w}" for m, w in refused.items())
            + "."
        )
    procedures = {
        p: setting_choices(get_procedure(p), narrowed, f"space '{name}'")
        for p, narrowed in file.procedures.items()
        if p != "plain"
    }
    return SearchSpace(name, tuple(branches), refused, shapes, limits, scores, procedures)


def _branch(name: str, parts: tuple[str, ...], file: SpaceFile, shapes: BackboneShapes, where: str) -> Branch:
    """One method of the file, or its combination, whose settings carry the name of their part."""
    combined = name == "combination"
    own = file.layers if combined else get_method(name).layers
    narrowed = file.combination if combined else file.methods
    choices = {
        f"{part}.{setting}" if combined else setting: values
        for part in parts
        for setting, values in method_choices(
            part, narrowed[part], shapes, file.reference_hidden_size, where, combined
        ).items()
    }
    depths = tuple(f for f in (file.frozen_layers or range(shapes.num_layers)) if 0 <= f < shapes.num_layers)
    if not depths:
        raise AutopeftError(
            f"frozen_layers of {where} are {file.frozen_layers}, and {shapes.name} has layers 0 to {shapes.num_layers - 1}: "
            "name some of these, or leave frozen_layers out."
        )
    return Branch(name, parts, tuple(choices.items()), file.layers if own == "any" else own, depths, shapes)
