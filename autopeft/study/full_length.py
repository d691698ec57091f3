"""Finalists and baselines: full-length training with several seeds, each run stored as it ends. Imports no torch."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from autopeft.backbone.shapes import BackboneShapes
from autopeft.configuration import Configuration
from autopeft.methods import count, get_method
from autopeft.proxy.curve import Curve
from autopeft.proxy.job import Job, JobResult
from autopeft.study.folder import StudyFolder
from autopeft.study.race import Train
from autopeft.study.records import TrialRecord
from autopeft.study.spec import StudySpec
from autopeft.uniform_lora import uniform_lora

DOING_NOTHING = "doing nothing"
TUNING = (0.35, 0.5, 0.7)  # where in a method's learning-rate range (log scale) a baseline's rate is tried


@dataclass(frozen=True)
class Contender:
    """What is trained at full length: a front member with its own learning rate, or a baseline whose rate is tuned."""

    name: str
    role: str  # "finalist" | "baseline" | "ceiling"
    configuration: Configuration
    tuned: bool

    def rates(self) -> list[Configuration]:
        """The configuration at each learning rate of the grid."""
        low, high = get_method(self.configuration.method).learning_rate
        return [
            Configuration.of(
                self.configuration.method,
                dict(self.configuration.settings),
                self.configuration.layers,
                low * (high / low) ** at,
            )
            for at in TUNING
        ]


def baselines(shapes: BackboneShapes, budget: int | None, ceiling: bool) -> list[Contender]:
    """Linear probe, uniform LoRA at the budget, LoRA r = 8 on query and value, and full fine-tuning.

    Where there is no head to train, the backbone as it is takes the place of the linear probe.
    """
    every = tuple(range(shapes.num_layers))
    lora = get_method("lora").defaults
    common = Configuration.of("lora", {**lora, "rank": 8, "target_modules": "query+value"}, every, 1e-3)
    nothing = Configuration.of("head_only", {}, (), 1e-3)
    chosen = [
        Contender(
            "linear probe" if shapes.head_modules else DOING_NOTHING, "baseline", nothing, bool(shapes.head_modules)
        ),
        Contender("uniform LoRA", "baseline", uniform_lora(shapes, budget), True),
        Contender("LoRA r=8 q,v", "baseline", common, True),
    ]
    if chosen[1].configuration == chosen[2].configuration:
        del chosen[2]
    if ceiling:
        chosen.append(
            Contender(
                "full fine-tuning", "ceiling", Configuration.of("full", get_method("full").defaults, every, 1e-4), True
            )
        )
    return chosen


def finalist(trial: TrialRecord) -> Contender:
    return Contender(f"trial {trial.number}", "finalist", trial.configuration, False)


def runs_left(contenders: list[Contender], folder: StudyFolder, spec: StudySpec) -> int:
    """How many trainings are still to do, learning-rate tuning counted."""
    return len(_rates_left(contenders, folder)) + sum(len(_seeds_left(c, folder, spec)) for c in contenders)


def train_contenders(
    contenders: list[Contender],
    folder: StudyFolder,
    spec: StudySpec,
    shapes: BackboneShapes,
    train: Train,
    report: Callable[[str, Curve | None], None],
    more: Callable[[int], None],
) -> None:
    """Tune the learning rates that are to be tuned, then train every contender with every seed that is not done yet.

    Both at full length; a rate is chosen with the study's seed, and no contender is scored with that one. Where no seed
    gets as far as the next best rate did when it was tuned, the rate was luck: the seeds are trained at that one too
    (`more` is told how many trainings that adds), and the better of the two counts.
    """
    rates = _rates_left(contenders, folder)
    jobs = [Job(c, spec.seed, spec.full_steps, spec.full_steps) for _, c in rates]
    for number, done in train(jobs):
        contender, configuration = rates[number]
        name = f"{contender.name}, learning rate {configuration.learning_rate:.1g}"
        keep_run(done, name, contender, "tuning", configuration, folder, shapes, report)
    left, tried = [(c, *x) for c in contenders for x in _seeds_left(c, folder, spec)], set()
    half = (max(1, spec.full_steps // 2),)
    while left:
        jobs = [Job(c, seed, spec.full_steps, spec.full_steps, half, test=True) for _, c, seed in left]
        for number, done in train(jobs):
            contender, configuration, seed = left[number]
            name = f"{contender.name}, seed {seed}"
            keep_run(done, name, contender, contender.role, configuration, folder, shapes, report)
        tried |= set(left)
        left = [x for c in contenders for s in _seeds_left(c, folder, spec) if (x := (c, *s)) not in tried]
        more(len(left))


def keep_run(done: JobResult, name, contender, role, configuration, folder, shapes, report) -> None:
    """Store a run that was trained; one that failed is tried again when the study is resumed."""
    if done.failure:
        report(f"{name} failed: {done.failure}", None)
        return
    folder.add_run(contender.name, role, configuration, count(configuration, shapes), done.curve)
    report(name, done.curve)


def rates_by_loss(contender: Contender, folder: StudyFolder) -> list[tuple[float, Configuration]]:
    """(validation loss, configuration) of the rates tuned so far, best first; of the contender itself if none is."""
    runs = [r for r in folder.runs() if r["name"] == contender.name and r["role"] == "tuning"]
    found = [(r["curve"]["validation_loss"][-1], Configuration.from_json(r["configuration"])) for r in runs]
    return sorted(found, key=lambda x: x[0]) or [(math.inf, contender.configuration)]


def _rates_left(contenders: list[Contender], folder: StudyFolder) -> list[tuple[Contender, Configuration]]:
    done = {(r["name"], r["configuration"]["learning_rate"]) for r in folder.runs() if r["role"] == "tuning"}
    return [(c, x) for c in contenders if c.tuned for x in c.rates() if (c.name, x.learning_rate) not in done]


def _seeds_left(contender: Contender, folder: StudyFolder, spec: StudySpec) -> list[tuple[Configuration, int]]:
    """Seeds after the study's own, which the trials were chosen with; one where nothing is drawn or trained."""
    seeds = 1 if contender.name == DOING_NOTHING else spec.seeds
    runs = [r for r in folder.runs() if (r["name"], r["role"]) == (contender.name, contender.role)]
    rates = rates_by_loss(contender, folder)
    for (_, configuration), (next_loss, _) in pairwise([*rates, (math.inf, None)]):
        rate = configuration.learning_rate
        curves = [r["curve"] for r in runs if r["configuration"]["learning_rate"] == rate]
        done = {curve["seed"]: curve["validation_loss"][-1] for curve in curves}
        left = [s for s in range(spec.seed + 1, spec.seed + 1 + seeds) if s not in done]
        if left or min(done.values()) <= next_loss:
            return [(configuration, seed) for seed in left]
    return []
