"""Trains what is exported in the toolkits themselves, and holds their losses against autopeft's own seeds.

    python tests/toolkits/training.py FOLDER [TOOLKIT ...]

Each row is a tiny model that is trained for 40 steps, in the toolkit's own environment, by the files as they are
exported. Its final loss, evaluated without dropout on the rows that it learnt from (there an optimiser's settings show
most), has to lie where autopeft's next seed would lie: within the prediction interval of 99 % of SEEDS runs, mean ± t s
sqrt(1 + 1 / n). What autopeft gives with one thing set wrong shows how much that says. FOLDER keeps the models and every
loss; the same command goes on after a stop.
"""

import json
import math
import statistics
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from unittest import mock

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

import environments  # noqa: E402  (the line above lets it be found)
import numpy as np  # noqa: E402
import torch  # noqa: E402
from scipy.stats import t as student  # noqa: E402
from toys import save_toy  # noqa: E402
from trained_by_toolkits import TRAINED_BY  # noqa: E402

from autopeft.backbone.loading import load_backbone  # noqa: E402
from autopeft.backbone.sizes import shapes_of  # noqa: E402
from autopeft.base.recipe import warmup_steps  # noqa: E402
from autopeft.configuration import Configuration  # noqa: E402
from autopeft.counting import configuration_of  # noqa: E402
from autopeft.export import Case, Exported, export  # noqa: E402
from autopeft.procedures.mechanisms import procedure  # noqa: E402
from autopeft.proxy import run as run_module  # noqa: E402
from autopeft.proxy import session as session_module  # noqa: E402
from autopeft.proxy.job import Job  # noqa: E402
from autopeft.proxy.scoring import evaluate  # noqa: E402
from autopeft.proxy.session import Session  # noqa: E402
from autopeft.proxy.trainer import Trainer  # noqa: E402
from autopeft.study.spec import StudySpec  # noqa: E402
from autopeft.tasks import load_task  # noqa: E402
from autopeft.tasks.tokens import tokenise  # noqa: E402

SEEDS, LEVEL, STEPS = 8, 0.99, 40
OTHER_BATCHES = 4  # seeds
WRONG_SEED = 100  # of the runs with something wrong: none of those that the interval is made of
ROWS = {"train_rows": 32, "validation_rows": 10, "test_rows": 10, "max_length": 64, "batch_size": 16}
ANSWERS = {"data": "openbookqa-answers", "task": "instruction", **ROWS}
REVIEWS = {"data": "rotten-tomatoes", **ROWS}
LANGUAGE = ("peft", "llamafactory", "axolotl", "swift", "trl", "script")
WHOLE = tuple(name for name in LANGUAGE if name != "trl")  # which has the same script for it


@dataclass(frozen=True)
class Setting:
    """What is trained, and who is asked to."""

    family: str
    method: str
    settings: dict
    rate: float
    study: dict
    toolkits: tuple[str, ...]


LORA = {"rank": 8, "target_modules": "all-linear"}
SETTINGS = {
    "LoRA, Llama": Setting("llama", "lora", LORA, 2e-3, ANSWERS, LANGUAGE),
    "layers in full, Llama": Setting("llama", "full_layers", {"layers": "1-2"}, 1e-3, ANSWERS, WHOLE),
    "LoRA, GPT-2": Setting("gpt2", "lora", LORA, 5e-3, ANSWERS, LANGUAGE),
    "layers in full, GPT-2": Setting("gpt2", "full_layers", {"layers": "1-2"}, 4e-3, ANSWERS, WHOLE),
    "LoRA, BERT": Setting("bert", "lora", {"rank": 8}, 5e-3, REVIEWS, ("peft", "script", "adapters", "swift")),
    "LoRA and head at one rate, BERT": Setting(  # all that ms-swift has
        "bert", "lora", {"rank": 8}, 3e-3, {**REVIEWS, "head_learning_rate": 3e-3}, ("swift",)
    ),
    "serial adapter, BERT": Setting(
        "bert", "serial_adapter", {"bottleneck": 8}, 5e-3, REVIEWS, ("peft", "script", "adapters")
    ),
}


class Trial:
    """One setting in a folder: its model, its case, and losses on the training rows."""

    def __init__(self, setting: Setting, folder: Path) -> None:
        model = folder / "models" / setting.family
        if not (model / "model.safetensors").exists():
            save_toy(setting.family, model)
        given = {"head_learning_rate": 5e-4, **setting.study}
        given |= {"model": str(model), "full_steps": STEPS, "seed": SEEDS}
        self.spec = StudySpec(**given)
        self.task = load_task(**self.spec.task_arguments())
        self.shapes = shapes_of(str(model), self.task.outputs, kind=self.task.kind)
        built = configuration_of(setting.method, dict(setting.settings), self.shapes.num_layers)
        self.configuration: Configuration = replace(built, learning_rate=setting.rate)

    @property
    def case(self) -> Case:
        """As `autopeft export` has it of a study."""
        return Case("trial 0", self.configuration, self.shapes, self.spec.model_dump(), self.task.summary())

    @cached_property
    def backbone(self):
        return load_backbone(self.spec.model, self.task.outputs, kind=self.task.kind, attention="sdpa")

    @cached_property
    def tokens(self):
        return tokenise(self.task, self.backbone.tokenizer, self.spec.max_length)

    def loss(self, model) -> float:
        """Of a model in evaluation mode."""
        return evaluate(model, self.tokens.train, self.tokens)[0]

    def trained(self, seed: int, rate: float = 1.0) -> float:
        """What autopeft gives; rate: times the configuration's."""
        chosen = replace(self.configuration, learning_rate=rate * self.configuration.learning_rate)
        trainer = Trainer(self.backbone, self.tokens, self.spec.batch_size, self.spec.head_rate)
        found: list[float] = []
        (result,) = trainer.run([Job(chosen, seed, STEPS, STEPS)], keep=lambda model: found.append(self.loss(model)))
        assert result.curve, result.failure
        return found[0]

    def wrong(self, what: str) -> float:
        """What autopeft gives with one thing set wrong."""
        with WRONG[what](self) as rate:
            return self.trained(WRONG_SEED, rate or 1.0)

    def in_other_batches(self) -> float:
        """What autopeft gives on average where rows of any length make a batch, as some toolkits have it."""
        with mock.patch.object(session_module, "endless", shuffled):
            return statistics.mean(self.trained(seed) for seed in range(OTHER_BATCHES))


def shuffled(split, batch_size: int, seed: int, rows=None) -> Iterator[np.ndarray]:
    """All rows in a new order in each epoch, cut into batches."""
    generator = np.random.default_rng(seed)
    while True:
        order = generator.permutation(len(split))
        yield from np.split(order, range(batch_size, len(order), batch_size))


@contextmanager
def betas(_: Trial) -> Iterator[None]:
    with mock.patch.object(procedure, "BETAS", (0.9, 0.95)):
        yield


@contextmanager
def rate(_: Trial) -> Iterator[float]:
    yield 0.5


@contextmanager
def dropout(trial: Trial) -> Iterator[None]:
    """The model's own dropout, in the training steps alone."""
    losses = Session.losses

    def noisy(session: Session, rows) -> torch.Tensor:
        for module in trial.backbone.model.modules():
            module.training = True
        try:
            return losses(session, rows)
        finally:
            trial.backbone.model.eval()

    with mock.patch.object(Session, "losses", noisy):
        yield


@contextmanager
def decay(_: Trial) -> Iterator[None]:
    with mock.patch.object(procedure, "WEIGHT_DECAY", 1.0):
        yield


@contextmanager
def plain_schedule(_: Trial) -> Iterator[None]:
    """Transformers' own of as many steps, which begins at 0."""
    rise = warmup_steps(STEPS)

    def factor(step: int, steps: int) -> float:
        return step / rise if step < rise else (steps - step) / (steps - rise)

    with mock.patch.object(run_module, "learning_rate_factor", factor):
        yield


IN_OTHER_BATCHES = "rows of any length in a batch"
WRONG = {
    "half the learning rate": rate,
    "beta2 = .95": betas,
    "weight decay of 1": decay,
    "the model's dropout on": dropout,
    "a schedule that begins at 0": plain_schedule,
}


class Losses:
    """name -> loss, each kept in a file as soon as it is known."""

    def __init__(self, file: Path) -> None:
        self.file = file
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        self.known = {entry["name"]: entry for entry in map(json.loads, lines)}

    def of(self, name: str, find) -> dict:
        if name not in self.known:
            self.known[name] = {"name": name, **find()}
            with open(self.file, "a", encoding="utf-8") as kept:
                kept.write(json.dumps(self.known[name]) + "\n")
        return self.known[name]


def interval(losses: list[float]) -> tuple[float, float]:
    """Mean, and the half width within which one more run lies in LEVEL of all cases."""
    n = len(losses)
    half = student.ppf((1 + LEVEL) / 2, n - 1) * statistics.stdev(losses) * math.sqrt(1 + 1 / n)
    return statistics.mean(losses), float(half)


def exported_and_trained(trial: Trial, toolkit: str, folder: Path) -> dict:
    done: Exported = export(toolkit, trial.case, folder)
    if done.verdict == "unsupported":
        return {"verdict": done.verdict, "losses": [done.reason]}
    return {"verdict": done.verdict, "losses": done.losses, "loss": TRAINED_BY[toolkit](trial, folder)}


def rows(
    name: str, setting: Setting, folder: Path, toolkits: list[str]
) -> Iterator[tuple[str, str, dict, float, float]]:
    """(what, verdict, entry, mean, half width) of each loss."""
    trial, kept = Trial(setting, folder), Losses(folder / "losses.jsonl")
    own = [kept.of(f"{name}/seed {s}", lambda s=s: {"loss": trial.trained(s)})["loss"] for s in range(SEEDS)]
    mean, half = interval(own)
    yield "untrained", "", kept.of(f"{name}/untrained", lambda: {"loss": trial.loss(trial.backbone.model)}), mean, half
    yield (
        IN_OTHER_BATCHES,
        "",
        kept.of(f"{name}/{IN_OTHER_BATCHES}", lambda: {"loss": trial.in_other_batches()}),
        mean,
        half,
    )
    for what in WRONG:
        if what != "the model's dropout on" or trial.case.no_dropout:
            yield what, "wrong", kept.of(f"{name}/{what}", lambda what=what: {"loss": trial.wrong(what)}), mean, half
    for toolkit in toolkits or setting.toolkits:
        if toolkit in setting.toolkits and (toolkit in ("peft", "script") or environments.python(toolkit)):
            place = folder / "exports" / name.replace(" ", "-").replace(",", "") / toolkit
            found = kept.of(f"{name}/{toolkit}", lambda t=toolkit, p=place: exported_and_trained(trial, t, p))
            yield toolkit, found["verdict"], found, mean, half


def main(arguments: list[str]) -> int:
    if not arguments:
        print(__doc__)
        return 2
    torch.set_num_threads(1)
    folder = Path(arguments[0]).resolve()
    print("| what | autopeft's seeds | by | loss | distance | | verdict |\n|---|---|---|---|---|---|---|")
    outside = 0
    for name, setting in SETTINGS.items():
        for what, verdict, found, mean, half in rows(name, setting, folder, arguments[1:]):
            spread = f"{mean:.3f} ± {half:.3f}"
            if "loss" not in found:
                print(f"| {name} | {spread} | {what} | | | | {verdict} |", flush=True)
                continue
            far = (found["loss"] - mean) / half
            inside = "inside" if abs(far) <= 1 else "outside"
            outside += inside == "outside" and verdict == "lossless"
            print(
                f"| {name} | {spread} | {what} | {found['loss']:.3f} | {far:+.2f} | {inside} | {verdict} |", flush=True
            )
    return 1 if outside else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
