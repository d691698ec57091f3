"""What the learning rate of the task head does to everything that is trained above a frozen backbone.

    python tests/benchmarks/head_rates.py twitter-ner [--rates 1e-3,3e-3,1e-2,3e-2] [--workers 2]

A task of studies/evidence/cells.yaml, in full length: LoRA (r = 8 on query and value) and (IA)^3 on all layers at the rate
that the rule expects and at a third of it, with the head at each of the rates. Prints the validation loss, the validation
and the test score at the end, and the rate that a search would give the head.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
from dataclasses import replace

from autopeft.base.progress import Progress
from autopeft.configuration import Configuration
from autopeft.prepare import Prepared, prepare
from autopeft.proxy.job import Job
from autopeft.report.rows import print_rows
from autopeft.resident import load_resident, load_workers
from autopeft.space.rates import rate_rule
from autopeft.study.head_rate import chosen
from autopeft.tabular.cells import read_cells


def jobs_of(prepared: Prepared) -> list[Job]:
    """Both methods at both rates."""
    every, spec = range(prepared.shapes.num_layers), prepared.spec
    made = [
        Configuration.of("lora", {"rank": 8, "target_modules": "query+value", "rslora": False}, every, 1e-3),
        Configuration.of("ia3", {"target_modules": "key+value+ffn_out"}, every, 1e-3),
    ]
    expected = [(c, rate_rule().rate(c, prepared.shapes, spec.length)) for c in made]
    configurations = [replace(c, learning_rate=rate / by) for c, rate in expected for by in (1, 3)]
    return [Job(c, spec.seed, spec.steps, spec.steps, test=True) for c in configurations]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task")
    parser.add_argument(
        "--rates", type=lambda text: [float(x) for x in text.split(",")], default=[1e-3, 3e-3, 1e-2, 3e-2]
    )
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    cell = read_cells("studies/evidence/cells.yaml", [arguments.task]).cells[arguments.task]
    progress = Progress(quiet=True)
    prepared = prepare(cell.spec.model_copy(update={"workers": arguments.workers}))
    workers = load_workers(prepared, load_resident(prepared, None, progress), progress)
    print(f"a search would train the head at {chosen(prepared.spec, prepared.shapes, workers):g}")
    rows = []
    for head in arguments.rates:
        workers.head_learning_rate = head
        jobs = jobs_of(prepared)
        for number, result in workers.run(jobs):
            if result.curve:
                about = {"head": f"{head:g}", "method": jobs[number].configuration.method}
                about["rate"] = f"{jobs[number].configuration.learning_rate:.2g}"
                measured = (
                    result.curve.validation_loss[-1],
                    result.curve.validation_score[-1],
                    result.curve.test_score,
                )
                names = ("validation loss", "validation score", "test score")
                rows.append(about | {n: f"{x:.3f}" for n, x in zip(names, measured) if x is not None})
    workers.close()
    print_rows(
        rows, f"{arguments.task}, {prepared.spec.model}, {prepared.spec.steps} steps of {prepared.spec.batch_size}"
    )


if __name__ == "__main__":
    main()
