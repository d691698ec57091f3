"""What autopeft's search is measured against: the same configurations, each trained at full length by another loop.

    python tests/benchmarks/loops.py --study quickstart [--data NAME] --trials 3 --loops naive,fair,published [--out FILE.json]

naive: Optuna, transformers' Trainer and padding to 128. fair: the same in one process, done well, batches padded to
their longest row. published: the naive training in a new Python process per trial, the AutoPEFT protocol.
How each trains, and what they share with autopeft, stands in full_training.py.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as autopeft does, and before torch is loaded

import argparse
import copy
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import log10
from pathlib import Path

import optuna
import torch
from full_training import Clock, PaddedRows, by_hand, by_trainer, loaded, tokenizer_of

from autopeft.configuration import Configuration
from autopeft.methods import count
from autopeft.prepare import Prepared, prepare
from autopeft.study.folder import StudyFolder
from autopeft.study.halving import Halving
from autopeft.study.running import RunningTrial
from autopeft.study.spec import StudySpec
from autopeft.study.trials import Trials
from autopeft.tasks.tokens import tokenise

Train = Callable[[Configuration], dict]


@dataclass(frozen=True)
class Looped:
    """What a loop took and found: wall seconds, and one result per configuration, in their order.

    training_seconds and evaluation_seconds (on the validation split) are parts of seconds; setup_seconds is all the
    rest: data, loading, attaching, Optuna and, with a process per trial, imports. A result holds validation_loss,
    validation_score, test_loss, test_score and seconds; the test split is scored while the clock stands.
    """

    name: str
    seconds: float
    training_seconds: float
    evaluation_seconds: float
    setup_seconds: float
    results: list[dict]


def naive(prepared: Prepared, configurations: list[Configuration], progress=print) -> Looped:
    """Optuna and the Trainer: from_pretrained, get_peft_model, train, evaluate, once per trial, all else by default.

    Tokenised once before the study, as the common tutorials do, every row padded to 128 tokens; evaluation batches are
    the Trainer's 8 rows.
    """
    clock = Clock()
    rows = PaddedRows(prepared, clock)
    return searched("naive", prepared, configurations, lambda c: by_trainer(prepared, rows, c, clock), clock, progress)


def fair(prepared: Prepared, configurations: list[Configuration], progress=print) -> Looped:
    """One process, done well by common means: loaded and tokenised once, a copy of the model per trial.

    Batches are padded to their longest row; their order is random, without length buckets. Evaluation takes batches of
    128 in the rows' given order.
    """
    clock = Clock()
    tokenised = tokenise(prepared.task, tokenizer_of(prepared), prepared.spec.max_length)
    model = loaded(prepared, tokenised.pad_token_id)

    def train(configuration: Configuration) -> dict:
        return by_hand(prepared, tokenised, copy.deepcopy(model), configuration, clock)

    return searched("fair", prepared, configurations, train, clock, progress)


def published(prepared: Prepared, configurations: list[Configuration], progress=print) -> Looped:
    """AutoPEFT as published (Zhou et al. 2024, arXiv 2301.12132): a new Python process per trial.

    As in its code: every process imports the libraries, reads the data and the model, trains at full length with rows
    padded to 128 and leaves its result in a JSON file. Not as in its code: the trials are the given ones (it runs 200,
    the first 100 at random, the others by Bayesian optimisation, and trains its front with 5 seeds), the length is
    spec.full_steps (it trains up to 20 epochs, with evaluations and checkpoints on the way), batch and rates are ours.
    """
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "trial.json"
        return searched(
            "published", prepared, configurations, lambda c: by_process(prepared, file, c, clock), clock, progress
        )


LOOPS = {"naive": naive, "fair": fair, "published": published}


def searched(
    name: str, prepared: Prepared, configurations: list[Configuration], train: Train, clock: Clock, progress
) -> Looped:
    """Feed the configurations to an Optuna study in memory, train each, tell what it scored."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(directions=["minimize", "maximize"])
    asked = [parameters(c) for c in configurations]
    choices = {k: tuple(dict.fromkeys(p[k] for p in asked if k in p)) for p in asked for k in p}
    results = []
    for configuration, fixed in zip(configurations, asked):
        began = clock.seconds()
        study.enqueue_trial(fixed)
        trial = study.ask()
        for parameter in fixed:
            trial.suggest_categorical(parameter, choices[parameter])
        result = train(configuration)
        trainable = count(configuration, prepared.shapes)
        study.tell(trial, [log10(max(1, trainable)), result["validation_score"]])
        results.append({**result, "seconds": clock.seconds() - began})
        progress(f"{name}: {configuration}: {result['validation_score']:.3f} in {results[-1]['seconds']:.1f} s")
    whole, training, evaluation = clock.seconds(), clock.parts["training"], clock.parts["evaluation"]
    return Looped(name, whole, training, evaluation, whole - training - evaluation, results)


def parameters(configuration: Configuration) -> dict:
    """A configuration as the parameters of an Optuna trial."""
    method = configuration.method
    settings = {f"{method}.{k}": v for k, v in configuration.settings}
    layers = " ".join(map(str, configuration.layers))
    return {"method": method, "layers": layers, f"{method}.learning_rate": configuration.learning_rate, **settings}


def by_process(prepared: Prepared, file: Path, configuration: Configuration, clock: Clock) -> dict:
    """Train and evaluate one configuration in a Python process of its own; `one` is what it runs."""
    file.write_text(json.dumps({"spec": prepared.spec.model_dump(), "configuration": configuration.to_json()}))
    subprocess.run([sys.executable, __file__, "--one", str(file)], check=True)
    told = json.loads(file.read_text())
    for part, seconds in told["parts"].items():
        clock.parts[part] += seconds
    return told["result"]


def one(file: Path) -> None:
    """A spec and a configuration in a JSON file -> its result and the seconds of each part, in the same file."""
    given, clock = json.loads(file.read_text()), Clock()
    prepared = prepare(StudySpec(**given["spec"]))
    result = by_trainer(prepared, PaddedRows(prepared, clock), Configuration.from_json(given["configuration"]), clock)
    file.write_text(json.dumps({"result": result, "parts": clock.parts}))


def sample(prepared: Prepared, n: int, seed: int = 0) -> list[Configuration]:
    """The first n different configurations that a study without a portfolio asks for: defaults, then draws from the prior.

    The prior is that of a study without layer scores; each has the learning rate that the rate rule expects.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(directions=["minimize", "maximize"])
    spec = prepared.spec.model_copy(update={"sampler": "random", "seed": seed, "portfolio": False})
    halving = Halving(study, prepared.objectives, (), spec, StudyFolder(Path()))
    trials = Trials(halving, None, prepared.space(), prepared.limits)
    found: dict[Configuration, None] = {}
    while len(found) < n:
        if isinstance(asked := trials.ask(len(study.trials), *trials.wanted(len(study.trials), 1)), RunningTrial):
            study.tell(asked.trial, [0.0, 0.0])
            found.setdefault(asked.configuration)
    return list(found)


def table(loops: list[Looped]) -> str:
    """A line per loop: seconds, seconds per trial, and what they were spent on."""
    lines = [f"{'loop':10s} {'seconds':>8s} {'per trial':>10s} {'training':>9s} {'evaluation':>11s} {'set-up':>7s}"]
    for x in loops:
        lines.append(
            f"{x.name:10s} {x.seconds:8.1f} {x.seconds / len(x.results):10.1f} {x.training_seconds:9.1f} "
            f"{x.evaluation_seconds:11.1f} {x.setup_seconds:7.1f}"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--study", default="quickstart")
    parser.add_argument("--data")
    parser.add_argument("--trials", type=int, default=3)
    parser.add_argument("--steps", type=int, help="full length of a training (default: the study's)")
    parser.add_argument("--seed", type=int, default=0, help="of the sample of configurations")
    parser.add_argument("--loops", default="naive,fair,published")
    parser.add_argument("--out", type=Path, help="also write the results to this JSON file")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        return one(arguments.one)
    prepared = prepare(StudySpec.read(arguments.study, **{"data": arguments.data, "full_steps": arguments.steps}))
    configurations = sample(prepared, arguments.trials, arguments.seed)
    loops = [LOOPS[name](prepared, configurations) for name in arguments.loops.split(",")]
    print(f"{torch.get_num_threads()} threads, {prepared.spec.full_steps} steps of {prepared.spec.batch_size}")
    print(table(loops))
    if arguments.out:
        found = {"configurations": [c.to_json() for c in configurations], "loops": [asdict(x) for x in loops]}
        arguments.out.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
