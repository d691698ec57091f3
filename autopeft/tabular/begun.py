"""What a file of the benchmark trains, and a run of it as far as it has come."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from autopeft.configuration import Configuration
from autopeft.executor.order import Answer
from autopeft.executor.stored import Stored
from autopeft.methods import REGISTRY, count, get_method, refusal
from autopeft.prepare import Prepared
from autopeft.proxy.curve import Curve
from autopeft.space import build_space
from autopeft.space.rates import rate_rule
from autopeft.space.relative import RelativeConfiguration
from autopeft.space.space_file import SpaceFile
from autopeft.study.candidates import usual_guess
from autopeft.tabular.evidence import EvidenceRun

STEP = 10**0.5  # ratio of neighbouring rates


@dataclass(frozen=True)
class Candidate:
    """What is trained at several rates."""

    role: str
    relative: RelativeConfiguration | None
    configuration: Configuration
    rates: tuple[float, ...]


@dataclass(frozen=True)
class Begun:
    """A run of a candidate as far as it has come."""

    candidate: Candidate
    rate: float
    curve: Curve | None = None
    state: Stored | None = None
    failure: str | None = None

    @property
    def configuration(self) -> Configuration:
        """What is trained."""
        return Configuration.of(*parts(self.candidate.configuration), self.rate)

    @property
    def loss(self) -> float:
        """The last validation loss; infinite of a run that failed."""
        return self.curve.validation_loss[-1] if self.curve else float("inf")

    def then(self, result: Answer) -> "Begun":
        """With what its next part gave."""
        if result.curve is None:
            return replace(self, curve=None, state=None, failure=result.failure)
        curve = self.curve.then(result.curve) if self.curve else result.curve
        return replace(self, curve=curve, state=result.state)


def parts(configuration: Configuration) -> tuple[str, dict, tuple[int, ...]]:
    """Method, settings and layers."""
    return configuration.method, dict(configuration.settings), configuration.layers


def parts_key(of: Candidate | EvidenceRun) -> tuple:
    """What all rates of a candidate share."""
    return of.role, of.configuration.method, of.configuration.settings, of.configuration.layers


def candidates_on(prepared: Prepared, relatives: Sequence[RelativeConfiguration]) -> list[Candidate]:
    """Baselines first, then the candidates that fit the backbone and are within the budget, each once."""
    shapes, budget = prepared.shapes, prepared.budget
    fits = [name for name in sorted(REGISTRY) if not refusal(name, shapes)]
    branches = {b.name: b for b in build_space("", SpaceFile(methods={name: {} for name in fits}), shapes).branches}
    every = range(shapes.num_layers)
    probe = Configuration.of("head_only", {}, (), get_method("head_only").learning_rate[0])
    full = Configuration.of("full", {}, every, 1e-4)
    found = [
        Candidate("linear probe", None, probe, first_rates(probe, prepared)),
        Candidate("usual guess", None, usual_guess(shapes), (usual_guess(shapes).learning_rate,)),
        Candidate("full fine-tuning", None, full, first_rates(full, prepared)),
    ]
    seen = set()
    for relative in relatives:
        if relative.method in branches:
            made = relative.on(branches[relative.method])
            if made not in seen and (budget is None or count(made, shapes) <= budget):
                seen.add(made)
                found.append(Candidate("candidate", relative, made, first_rates(made, prepared)))
    return found


def first_rates(configuration: Configuration, prepared: Prepared) -> tuple[float, ...]:
    """Three rates around the one that the rule expects, as far as the benchmark has taught it so far."""
    centre = rate_rule().rate(configuration, prepared.shapes, prepared.spec.length)
    return (centre / STEP, centre, centre * STEP)
