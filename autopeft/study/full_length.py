"""Finalists and baselines: full-length training with several seeds, each run stored as it ends. Imports no torch."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from autopeft.backbone.shapes import BackboneShapes
from autopeft.configuration import Configuration
from autopeft.methods import count, get_method
from autopeft.proxy.curve import Curve
from autopeft.study.folder import StudyFolder
from autopeft.study.records import TrialRecord
from autopeft.study.spec import StudySpec

TUNING = (0.35, 0.5, 0.7)  # where in a method's learning-rate range (log scale) a baseline's rate is tried
UNIFORM_RANKS = (64, 32, 16, 8, 4, 2, 1)
UNIFORM_TARGETS = ("all-linear", "attention", "query+value")

Train = Callable[..., Curve]  # train(configuration, seed=, full=, test=) -> Curve


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
    """Linear probe, uniform LoRA at the budget, LoRA r = 8 on query and value, and full fine-tuning."""
    every = tuple(range(shapes.num_layers))
    lora = get_method("lora").defaults
    common = Configuration.of("lora", {**lora, "rank": 8, "target_modules": "query+value"}, every, 1e-3)
    chosen = [
        Contender("linear probe", "baseline", Configuration.of("head_only", {}, (), 1e-3), True),
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


def uniform_lora(shapes: BackboneShapes, budget: int | None) -> Configuration:
    """LoRA on every layer with the widest targets, then the highest rank, that the budget allows; r = 8 without one."""
    every = tuple(range(shapes.num_layers))
    options = [
        Configuration.of("lora", {**get_method("lora").defaults, "rank": r, "target_modules": t}, every, 1e-3)
        for t in UNIFORM_TARGETS
        for r in (UNIFORM_RANKS if budget else (8,))
    ]
    return next((c for c in options if budget is None or count(c, shapes) <= budget), options[-1])


def finalist(trial: TrialRecord) -> Contender:
    return Contender(f"trial {trial.number}", "finalist", trial.configuration, False)


def runs_left(contenders: list[Contender], folder: StudyFolder, spec: StudySpec) -> int:
    """How many trainings are still to do, learning-rate tuning counted."""
    done = {r["name"] for r in folder.runs() if r["role"] == "tuning"}
    have = sum(min(len(o.curves), spec.seeds) for o in folder.outcomes())
    return len(contenders) * spec.seeds - have + sum(len(TUNING) for c in contenders if c.tuned and c.name not in done)


def train_contender(
    contender: Contender,
    folder: StudyFolder,
    spec: StudySpec,
    shapes: BackboneShapes,
    train: Train,
    report: Callable[[str, Curve | None], None],
) -> None:
    """Tune the learning rate if it is to be tuned, then train each seed that is not in the folder yet."""
    runs = [r for r in folder.runs() if r["name"] == contender.name]
    trainable = count(contender.configuration, shapes)
    if contender.tuned:
        contender = replace(contender, configuration=tuned(contender, runs, folder, trainable, train, report))
    seen = {r["curve"]["seed"] for r in runs if r["role"] == contender.role}
    for seed in (s for s in range(spec.seed, spec.seed + spec.seeds) if s not in seen):
        try:
            curve = train(contender.configuration, seed=seed, full=True, test=True)
        except (ArithmeticError, MemoryError) as error:  # tried again when the study is resumed
            report(f"{contender.name}, seed {seed} failed: {error}", None)
            continue
        folder.add_run(contender.name, contender.role, contender.configuration, trainable, curve)
        report(f"{contender.name}, seed {seed}", curve)


def tuned(
    contender: Contender,
    runs: list[dict],
    folder: StudyFolder,
    trainable: int,
    train: Train,
    report: Callable[[str, Curve | None], None],
) -> Configuration:
    """The contender at the learning rate with the lowest validation loss of a proxy run."""
    seen = {r["configuration"]["learning_rate"]: Curve.from_json(r["curve"]) for r in runs if r["role"] == "tuning"}
    best: tuple[float, Configuration] | None = None
    for configuration in contender.rates():
        curve = seen.get(configuration.learning_rate)
        if curve is None:
            try:
                curve = train(configuration, seed=0, full=False, test=False)
            except (ArithmeticError, MemoryError):
                continue
            folder.add_run(contender.name, "tuning", configuration, trainable, curve)
            report(f"{contender.name}, learning rate {configuration.learning_rate:.1g}", curve)
        if best is None or curve.validation_loss[-1] < best[0]:
            best = (curve.validation_loss[-1], configuration)
    return best[1] if best else contender.configuration
