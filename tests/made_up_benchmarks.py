"""Made-up tabular benchmarks of the default space on a backbone of three layers, written with the real writer."""

import json
from pathlib import Path

import numpy as np
from sizes import bert_shapes

from autopeft.configuration import Configuration
from autopeft.methods import count
from autopeft.proxy.curve import Curve
from autopeft.space import build_space, load_space
from autopeft.space.spread_sample import spread_sample
from autopeft.tabular.benchmark import COLUMNS, TabularBenchmark, lines_of

STEPS = (6, 12, 24, 48, 96)


def final_score(configuration: Configuration, trainable: int) -> float:
    """A score that rises with the parameters and has its best learning rate at 3e-3."""
    return 0.5 + 0.03 * np.log1p(trainable) - 0.05 * abs(np.log10(configuration.learning_rate / 3e-3))


def made_up_benchmark(
    folder: Path, name: str = "t", size: int = 40, noise: float = 0.0, seeds=(0, 1)
) -> TabularBenchmark:
    """Runs that predict the final score but for noise, which halves at every rung."""
    shapes = bert_shapes()
    space = build_space("basic", load_space("basic"), shapes)
    generator = np.random.default_rng(0)
    lines = [",".join(COLUMNS) + "\n"]
    for seed in seeds:
        for c in spread_sample(space, size):
            trainable = count(c, shapes)
            final = final_score(c, trainable)
            seen = final + noise * generator.normal(size=5) / 2.0 ** np.arange(5)
            curve = Curve(seed, STEPS, tuple(1 - seen), tuple(1 - seen), tuple(seen), 1.0, 10**6, final, 1 - final)
            lines.append(lines_of(c, trainable, curve))
    path = folder / f"{name}.csv"
    path.write_text("".join(lines))
    scores = {"scorer": "trace", "scores": [0.1, 0.2, 0.3], "cut": 1, "warning": None, "details": {}}
    about = {"spec": {"space": "basic"}, "shapes": shapes.to_json(), "budget": None, "scores": {"trace": scores}}
    path.with_suffix(".json").write_text(json.dumps(about))
    return TabularBenchmark.read(path)
