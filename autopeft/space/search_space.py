"""SpaceFile + backbone + layer scores + budget -> SearchSpace: the walk that makes a Configuration. Imports no torch."""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from math import prod
from typing import Protocol

from autopeft.backbone.shapes import BackboneShapes
from autopeft.base.errors import AutopeftError
from autopeft.configuration import Configuration, Scalar
from autopeft.importance.prior import frozen_layers_weights, layer_on_probability
from autopeft.importance.scores import LayerScores
from autopeft.methods import get_method, refusal
from autopeft.procedures import get_procedure
from autopeft.space.branch import Branch, method_choices, setting_choices
from autopeft.space.space_file import SpaceFile


class Chooser(Protocol):
    """Whoever decides: an Optuna trial, a random generator, a fixed assignment."""

    def choice(self, name: str, choices: tuple, allowed: tuple, weights: dict | None = None) -> Scalar:
        """One of `allowed`, which is a part of the fixed `choices`; weights are the prior over the choices."""

    def log_uniform(self, name: str, low: float, high: float) -> float: ...


@dataclass(frozen=True)
class SearchSpace:
    """All configurations of a space on one backbone, and the prior over their layers."""

    name: str
    branches: tuple[Branch, ...]
    refused: dict[str, str]  # method -> why it does not fit this backbone
    shapes: BackboneShapes
    budget: int | None = None
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

    def affordable(self) -> tuple[Branch, ...]:
        """The branches with at least one configuration within the budget. Raises AutopeftError if there is none."""
        costs = {b.name: b.cheapest(b.fewest_layers) for b in self.branches}
        adapting = [b.name for b in self.branches if b.layers != "none"]
        if adapting and not any(self.fits(costs[n]) for n in adapting):
            name = min(adapting, key=costs.get)
            raise AutopeftError(
                f"No configuration of space '{self.name}' meets the budget of {self.budget:,} trainable parameters: the "
                f"smallest is {name} with {costs[name]:,} "
                f"({100 * costs[name] / self.shapes.backbone_parameters:.4f}% of {self.shapes.name})."
            )
        return tuple(b for b in self.branches if self.fits(costs[b.name]))

    def walk(self, chooser: Chooser, exclude: Collection[str] = ()) -> Configuration:
        """Choose one configuration, dimension by dimension; only values that can still meet the budget are allowed."""
        names = tuple(b.name for b in self.branches)
        affordable = {b.name: b for b in self.affordable()}
        allowed = tuple(n for n in affordable if n not in exclude) or tuple(affordable)
        branch = affordable[chooser.choice("method", names, allowed)]
        layers = self._layers(branch, chooser)
        settings = self._settings(branch, layers, chooser)
        procedure, how = self._procedure(branch, chooser)
        rate = chooser.log_uniform(f"{branch.name}.learning_rate", *branch.learning_rate)
        made = branch.configuration(settings, layers, rate * get_procedure(procedure).learning_rate_factor)
        if procedure == "plain" or made.method == "head_only":
            return made
        return replace(made, procedure=procedure, procedure_settings=tuple(sorted(how.items())))

    def _procedure(self, branch: Branch, chooser: Chooser) -> tuple[str, dict[str, Scalar]]:
        allowed = self.procedures_for(branch)
        if not allowed:
            return "plain", {}
        name = chooser.choice("procedure", ("plain", *self.procedures), allowed)
        choices = self.procedures.get(name, {})
        return name, {k: chooser.choice(f"{name}.{k}", values, values) for k, values in choices.items()}

    def fits(self, number: int) -> bool:
        return self.budget is None or number <= self.budget

    def _layers(self, branch: Branch, chooser: Chooser) -> tuple[int, ...]:
        if branch.layers in ("all", "none"):
            return branch.all_layers
        top = self.shapes.num_layers
        if branch.layers == "bits":
            return self._bits(branch, (), range(top), chooser)
        weights = dict(enumerate(frozen_layers_weights(self.scores, top)))
        adapted = (lambda f: tuple(range(f, top))) if branch.layers == "suffix" else (lambda f: (f,))
        allowed = tuple(f for f in branch.depths if self.fits(branch.cheapest(adapted(f))))
        frozen = chooser.choice("frozen_layers", tuple(range(top)), allowed, weights)
        if branch.layers in ("suffix", "one"):
            return adapted(frozen)
        return self._bits(branch, (frozen,), range(frozen + 1, top), chooser)

    def _bits(self, branch: Branch, chosen: tuple[int, ...], layers, chooser: Chooser) -> tuple[int, ...]:
        """One bit per layer, the most promising layer first, so that a tight budget goes to it."""
        on = layer_on_probability(self.scores, self.shapes.num_layers)
        order = sorted(layers, key=lambda layer: -on[layer])
        for layer in order:
            affordable = self.fits(branch.cheapest(tuple(sorted((*chosen, layer)))))
            must = layer == order[-1] and not chosen
            allowed = (True,) if must else (False, True) if affordable else (False,)
            if chooser.choice(f"layer.{layer}", (False, True), allowed, {False: 1 - on[layer], True: on[layer]}):
                chosen = (*chosen, layer)
        return tuple(sorted(chosen))

    def _settings(self, branch: Branch, layers: tuple[int, ...], chooser: Chooser) -> dict[str, Scalar]:
        settings: dict[str, Scalar] = {}
        for name, values in branch.choices:
            allowed = tuple(v for v in values if self._completes(branch, {**settings, name: v}, layers))
            full = name if "." in name else f"{branch.name}.{name}"
            settings[name] = chooser.choice(full, values, allowed)
        return settings

    def _completes(self, branch: Branch, settings: dict, layers: tuple[int, ...]) -> bool:
        return any(self.fits(branch.count(s, layers)) for s in branch.completions(settings))

    def dimensions(self) -> list[dict]:
        """What the walk asks for, one row per parameter: name, method it belongs to, kind, choices or range."""
        rows = [{"name": "method", "of": "every configuration", "choices": [b.name for b in self.branches]}]
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
    name: str, file: SpaceFile, shapes: BackboneShapes, budget: int | None = None, scores: LayerScores | None = None
) -> SearchSpace:
    """Meet a space with a backbone: methods it cannot carry are left out with the reason.

    Raises AutopeftError for an unknown method or setting, and when no method is left.
    """
    branches, refused = [], {}
    depths = tuple(f for f in (file.frozen_layers or range(shapes.num_layers)) if 0 <= f < shapes.num_layers)
    for method, narrowed in file.methods.items():
        own = get_method(method).layers
        kind = file.layers if own == "any" else own
        if why := refusal(method, shapes):
            refused[method] = why
            continue
        choices = method_choices(method, narrowed, shapes, file.reference_hidden_size, f"space '{name}'")
        branches.append(Branch(method, (method,), tuple(choices.items()), kind, depths, shapes))
    if file.combination:
        parts = tuple(file.combination)
        if why := refusal("+".join(parts), shapes):
            refused["combination"] = why
        else:
            choices = {
                f"{p}.{k}": v
                for p in parts
                for k, v in method_choices(
                    p, file.combination[p], shapes, file.reference_hidden_size, f"space '{name}'"
                ).items()
            }
            branches.append(Branch("combination", parts, tuple(choices.items()), file.layers, depths, shapes))
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
    return SearchSpace(name, tuple(branches), refused, shapes, budget, scores, procedures)
