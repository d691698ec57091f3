"""What a search of a language model takes on many GPUs, and what it costs: counted operations at a rate that others measured.

    python tests/benchmarks/many_gpus.py [--backbone Mistral-7B] [--workers 1,8,100] [--trials 100,400,1600]
        [--tokens 2048] [--rows 16] [--steps 300] [--tflops 400] [--dollars 3]

Every part of a trial takes as long as its operations do at the rate (`autopeft.costs`, of that configuration on that backbone),
on the clock of scale.py, with this search's own driver: portfolio, sampler, rungs, cohorts. Full-length runs after it are counted
as the most that there may be. Nothing here was run on a GPU.
"""

import argparse
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import optuna
from optuna.exceptions import ExperimentalWarning

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "methods"))
from paper_backbones import backbone
from scale import VALIDATION_ROWS, World, simulate

from autopeft.costs.flops import forward_flops, train_flops
from autopeft.costs.step import Step
from autopeft.executor.order import Order
from autopeft.methods import count
from autopeft.objectives import Limits
from autopeft.report.rows import print_rows
from autopeft.space import build_space, load_space
from autopeft.study.candidates import TRIES
from autopeft.study.spec import StudySpec
from autopeft.uniform_lora import uniform_lora

BASELINES = 2  # uniform LoRA and the usual guess; the probe is cheap and the ceiling does not fit
STATE_BYTES = 12  # of a trained number: itself and AdamW's two moments, in fp32


class Counted(World):
    """A simulated study whose orders take as long as their operations do."""

    def __init__(self, shapes, step: Step, rate: float) -> None:
        super().__init__(SimpleNamespace(shapes=shapes), 0, None)
        self.step, self.rate = step, rate

    def took(self, order: Order) -> float:
        """Seconds of an order, its evaluation with it."""
        begun = int(order.state.read()) if order.state else 0
        return self.seconds_of(order.job.configuration, order.job.until - begun, order.job.rows)

    def seconds_of(self, configuration, steps: int, rows: int) -> float:
        """Seconds of so many steps and of scoring so many rows."""
        shapes, step = self.prepared.shapes, self.step
        scored = forward_flops(configuration, shapes, step, merged=False) * rows / step.rows
        return (steps * train_flops(configuration, shapes, step) + scored) / self.rate


def main() -> None:
    def numbers(text: str) -> list[int]:
        return [int(x) for x in text.split(",")]

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="Mistral-7B")
    parser.add_argument("--workers", type=numbers, default=[1, 8, 100])
    parser.add_argument("--trials", type=numbers, default=[100, 400, 1600])
    parser.add_argument("--rates", type=int, default=3)
    parser.add_argument("--budget", default="0.5%")
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--tflops", type=numbers, default=[400])
    parser.add_argument("--dollars", type=float, default=3.0)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ExperimentalWarning)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    shapes = backbone(arguments.backbone)[0]
    budget = round(float(arguments.budget.rstrip("%")) / 100 * shapes.backbone_parameters)
    limits = Limits.of_budget(shapes, budget)
    space = build_space("default", load_space("default"), shapes, limits)
    step = Step(arguments.rows, arguments.tokens, weight_bytes=2, device="cuda")
    uniform = uniform_lora(shapes, budget)
    state = STATE_BYTES * count(uniform, shapes) / 1e9
    tera = train_flops(uniform, shapes, step) / 1e12
    print(
        f"uniform LoRA: {count(uniform, shapes):,} numbers, {tera:,.0f} TFLOPs a step, state {state:.2f} GB", flush=True
    )
    rows = []
    for trials in arguments.trials:
        spec = StudySpec.read(
            "quickstart", trials=trials, full_steps=arguments.steps, budget=arguments.budget, rates=arguments.rates
        )
        for tflops in arguments.tflops:
            world = Counted(shapes, step, tflops * 1e12)
            run = world.seconds_of(uniform, arguments.steps, VALIDATION_ROWS)
            full = (spec.finalists + BASELINES) * (TRIES / 4 + spec.seeds) * run
            for workers in arguments.workers:
                executor, _ = simulate(spec, space, limits, world, workers)
                clock, busy = executor.clock, executor.share_busy
                at_once = max(full / workers, 1.25 * run)  # a quarter to tune, then all seeds side by side
                gpu_hours = (clock * busy * workers + full) / 3600
                held = workers * (clock + at_once) / 3600
                rows.append(
                    {
                        "trials": f"{trials:,}",
                        "TFLOP/s": str(tflops),
                        "GPUs": str(workers),
                        "trials take": f"{clock / 3600:.1f} h",
                        "busy": f"{100 * busy:.0f} %",
                        "full length, at most": f"{at_once / 3600:.1f} h",
                        "GPU hours of work": f"{gpu_hours:,.0f}",
                        "cost of the GPUs held": f"${held * arguments.dollars:,.0f}",
                    }
                )
                print_rows(rows[-1:], arguments.backbone)
    print_rows(rows, f"{arguments.backbone}, {arguments.steps} steps of {arguments.rows} x {arguments.tokens} tokens")


if __name__ == "__main__":
    main()
