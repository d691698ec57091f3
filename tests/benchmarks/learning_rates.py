"""Where a method's best learning rate lies: the validation loss over a grid of rates, on MiniLM-L6 and rotten-tomatoes.

    python tests/benchmarks/learning_rates.py dcft --set scale=16 --rates 1e-4,1e-3,1e-2
    python tests/benchmarks/learning_rates.py lora --procedure lozo --rates 1e-3,1e-2 --lengths 96,768
    python tests/benchmarks/learning_rates.py print

The data, the sizes and the length are those of the tabular benchmarks (studies/benchmark.yaml), the method is on every
layer at its default. A line per run in studies/learning_rates.jsonl; what is there is not trained again.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
from itertools import product
from pathlib import Path

import numpy as np
import torch
import yaml
from catalogue import DATA, PROCEDURES, Kept, default, open_data

from autopeft.configuration import Configuration
from autopeft.methods import get_method
from autopeft.proxy.job import Job

KEPT = Path(__file__).parents[2] / "studies" / "learning_rates.jsonl"


def measure(kept: Kept, arguments: argparse.Namespace) -> None:
    """Train what is asked for and not there yet; the seeds of a rate one after the other, the rates in turn."""
    torch.set_num_threads(1)
    prepared, trainer, _ = open_data(DATA[0])
    settings, layers = default(get_method(arguments.method), prepared.shapes)
    settings |= {k: yaml.safe_load(v) for k, v in (pair.split("=") for pair in arguments.set)}
    how = PROCEDURES[arguments.procedure].defaults
    for steps, seed, rate in product(arguments.lengths, range(1, arguments.seeds + 1), arguments.rates):
        own = Configuration.of(arguments.method, settings, layers, rate, arguments.procedure, how)
        if kept.of("rate", key=own.key, seed=seed, steps=steps):
            continue
        (done,) = trainer.run([Job(own, seed, steps, steps)])
        loss = done.curve.validation_loss[-1] if done.curve else None
        score = done.curve.validation_score[-1] if done.curve else None
        kept.add(
            kind="rate",
            what=named(arguments),
            configuration=own.to_json(),
            key=own.key,
            rate=rate,
            seed=seed,
            steps=steps,
            loss=loss,
            score=score,
        )
        print(f"{named(arguments)} {rate:g} seed {seed}, {steps} steps: {loss}, {score}", flush=True)


def named(arguments: argparse.Namespace) -> str:
    """What was measured, as the table says it."""
    procedure = "" if arguments.procedure == "plain" else f"{arguments.procedure} x "
    return " ".join([procedure + arguments.method, *arguments.set])


def table(kept: Kept) -> str:
    """Markdown: a row per method, settings and length; the mean validation loss over the seeds at each rate."""
    rates = sorted({x["rate"] for x in kept.lines})
    lines = ["| | steps | " + " | ".join(f"{r:g}" for r in rates) + " |", "|---" * (len(rates) + 2) + "|"]
    for what, steps in dict.fromkeys((x["what"], x["steps"]) for x in kept.lines):
        found = [[x["loss"] for x in kept.of("rate", what=what, steps=steps, rate=r)] for r in rates]
        means = ["" if not f else "diverged" if None in f else f"{np.mean(f):.3f}" for f in found]
        lines.append(f"| {what} | {steps} | " + " | ".join(means) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("method", help="a method, or `print`")
    parser.add_argument("--procedure", default="plain")
    parser.add_argument("--set", nargs="*", default=[], help="settings that differ from the default: scale=16")
    parser.add_argument("--rates", type=lambda text: [float(x) for x in text.split(",")], default=[])
    parser.add_argument("--lengths", type=lambda text: [int(x) for x in text.split(",")], default=[96])
    parser.add_argument("--seeds", type=int, default=2)
    arguments = parser.parse_args()
    kept = Kept(KEPT)
    print(table(kept)) if arguments.method == "print" else measure(kept, arguments)


if __name__ == "__main__":
    main()
