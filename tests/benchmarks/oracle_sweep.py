"""Is the trace's cut a good one? Train every cut at equal steps and compare.

    python tests/benchmarks/oracle_sweep.py --data rotten-tomatoes [--model minilm-l6] [--steps 200] [--seeds 2] [--full]

For each cut e = 0 .. L-1 the blocks from e upwards are trained (LoRA r = 8 on all linears, or --full weights) with the
head. Prints validation score and loss per cut, the regret of the trace's three cuts, of a random and of a middle cut,
the measured step time beside 1 - 2/3 e/L, and the cut over calibration seeds and sizes. --stability stops after these.
"""

import argparse

import numpy as np

from autopeft.backbone.loading import load_backbone
from autopeft.configuration import Configuration
from autopeft.importance import score_layers
from autopeft.importance.cut import saving
from autopeft.methods import get_method
from autopeft.proxy.job import Job
from autopeft.proxy.precision import choose_precision, resident
from autopeft.proxy.trainer import Trainer, train
from autopeft.tasks import load_task
from autopeft.tasks.tokens import tokenise

LORA = {"rank": 8, "target_modules": "all-linear"}
TIMED = 4


def configuration(method: str, cut: int, layers: int, rate: float) -> Configuration:
    """The suffix above the cut, by LoRA or with all its weights."""
    settings = get_method("lora").defaults | LORA if method == "lora" else {}
    return Configuration.of(method, settings, range(cut, layers), rate)


def step_seconds(backbone, tokenised, chosen: Configuration, batch_size: int) -> float:
    """Seconds of a forward and backward pass, the median of several timings."""
    trainer, job = Trainer(backbone, tokenised, batch_size), Job(chosen, 0, 1, 1)
    return float(np.median([trainer.seconds_per_step(job) for _ in range(TIMED)]))


def stability(backbone, tokenised) -> None:
    """Print the three cuts over calibration seeds and sizes."""
    print("rows  seed  cut raw/log/scaling  deviation per layer")
    for rows in (128, 256, 512, 1024):
        for seed in range(5):
            d = score_layers("trace", backbone, tokenised, rows=rows, seed=seed).details
            print(
                f"{rows:4d}  {seed:4d}  {'/'.join(str(c) for c in d['cuts'].values()):19s}  "
                + " ".join(f"{x:.3f}" for x in d["deviation"])
            )


def sweep(backbone, tokenised, arguments) -> None:
    """Train every cut with every seed; print the table and the regrets."""
    layers = backbone.shapes.num_layers
    score, loss, seconds = [], [], []
    for cut in range(layers):
        chosen = configuration(arguments.method, cut, layers, arguments.learning_rate)
        curves = [
            train(backbone, tokenised, chosen, seed=s, steps=arguments.steps, batch_size=arguments.batch_size)
            for s in range(arguments.seeds)
        ]
        score.append([c.validation_score[-1] for c in curves])
        loss.append([c.validation_loss[-1] for c in curves])
        seconds.append(step_seconds(backbone, tokenised, chosen, arguments.batch_size))
        print(
            f"cut {cut}: score {np.mean(score[-1]):.4f} (seeds {' '.join(f'{x:.4f}' for x in score[-1])}), loss "
            f"{np.mean(loss[-1]):.4f}, step {1000 * seconds[-1]:.0f} ms = {seconds[-1] / seconds[0]:.2f} of cut 0, "
            f"predicted {1 - saving(cut, layers):.2f}",
            flush=True,
        )
    regrets(score_layers("trace", backbone, tokenised), np.mean(score, axis=1), np.mean(loss, axis=1))


def regrets(scores, score: np.ndarray, loss: np.ndarray) -> None:
    """Print how far the trace's cuts, a random and a middle cut stay behind the best cut."""
    cuts = {f"trace {name}": [cut] for name, cut in scores.details["cuts"].items()}
    cuts |= {"random (mean)": range(len(score)), "middle": [len(score) // 2], "train all": [0]}
    print(f"best by score: cut {score.argmax()}; best by loss: cut {loss.argmin()}")
    for name, chosen in cuts.items():
        chosen = list(chosen)
        print(
            f"{name:14s} cut {chosen[0] if len(chosen) == 1 else '-'}: regret in score "
            f"{score.max() - score[chosen].mean():.4f}, in loss {loss[chosen].mean() - loss.min():.4f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="rotten-tomatoes")
    parser.add_argument("--model", default="minilm-l6")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument("--validation-rows", type=int, default=1000)
    parser.add_argument("--full", action="store_true", help="train all weights of the suffix instead of LoRA")
    parser.add_argument("--stability", action="store_true", help="only print the cut over calibration seeds and sizes")
    arguments = parser.parse_args()
    arguments.method = "full" if arguments.full else "lora"
    arguments.learning_rate = arguments.learning_rate or (5e-5 if arguments.full else 1e-3)
    task = load_task(arguments.data, validation_rows=arguments.validation_rows)
    backbone = load_backbone(arguments.model, len(task.label_names))
    tokenised = tokenise(task, backbone.tokenizer)
    layers = backbone.shapes.num_layers
    middle = configuration(arguments.method, layers // 2, layers, arguments.learning_rate)
    precision = choose_precision(backbone, tokenised, middle, arguments.batch_size)
    print(
        f"{task.name}: {len(tokenised.train)} training rows, {len(tokenised.validation)} validation rows; {precision}"
    )
    backbone = resident(arguments.model, len(task.label_names), precision)
    stability(backbone, tokenised)
    if not arguments.stability:
        sweep(backbone, tokenised, arguments)


if __name__ == "__main__":
    main()
