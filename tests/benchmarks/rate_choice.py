"""What the benchmark of tasks says of learning rates: how early one is chosen, and how well the rule expects it.

    python tests/benchmarks/rate_choice.py [--evidence studies/evidence]

First, of the candidates with two rates or more that were trained to the end: how often the loss after a step names the rate with
the lowest loss at the end, and what the rate that it names loses in loss and on the test split. No rate is among them that
was stopped before, so these are the close calls. Second, by how many decades the best rates of each task lie off the rule
that the other tasks teach, and off the usual place in each method's range.
"""

import argparse
from pathlib import Path

import numpy as np

from autopeft.report.rows import print_rows
from autopeft.space.rates import RateRule
from autopeft.tabular.evidence import Evidence, EvidenceRun
from autopeft.tabular.learning import read_tables
from autopeft.tabular.rate_fitting import fit_rates, unexplained
from autopeft.tabular.task_table import TaskTable


def choices(evidence: Evidence) -> list[list[EvidenceRun]]:
    """The whole runs of the first seed, by candidate, where there are several."""
    groups: dict[tuple, list[EvidenceRun]] = {}
    for run in evidence.runs:
        if run.whole and run.role == "candidate" and run.seed == evidence.about["spec"]["seed"]:
            made = run.configuration
            groups.setdefault((made.method, made.settings, made.layers), []).append(run)
    return [runs for runs in groups.values() if len(runs) > 1 and len(runs[0].curve.steps) > 2]


def expected(tables: list[TaskTable]) -> None:
    """How far the best rates of each task lie off the rule of the others."""
    rows = []
    for table in tables:
        others, usual = [t for t in tables if t.task != table.task], RateRule(0.0, {}, {}, {}, 0.0)
        left = unexplained(fit_rates(others), [table])
        off = {"the rule": left, "the usual place": unexplained(usual, [table])}
        root = {f"off {name}": f"{np.sqrt(np.mean(np.square(x))):.2f}" for name, x in off.items()}
        rows.append(
            {"task": table.name, "candidates": len(left), **root, "of it the task's own": f"{np.mean(left):+.2f}"}
        )
    print_rows(rows, "decades (root mean square) by which the best rates lie off what was expected")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--evidence", default="studies/evidence")
    rows, folder = [], parser.parse_args().evidence
    for path in sorted(Path(folder).glob("*.jsonl")):
        found = choices(evidence := Evidence.read(path))
        for at, step in enumerate(found[0][0].curve.steps[:-1] if found else ()):
            named = [min(runs, key=lambda r: r.curve.validation_loss[at]).curve for runs in found]
            best = [min(runs, key=lambda r: r.curve.validation_loss[-1]).curve for runs in found]
            rows.append(
                {
                    "task": evidence.name,
                    "candidates": len(found),
                    "after": f"{step} of {best[0].steps[-1]}",
                    "same": f"{np.mean([n is b for n, b in zip(named, best)]):.2f}",
                    "loss": f"{np.mean([n.validation_loss[-1] - b.validation_loss[-1] for n, b in zip(named, best)]):+.4f}",
                    "test score": f"{np.mean([n.test_score - b.test_score for n, b in zip(named, best)]):+.4f}",
                }
            )
    print_rows(rows, "the rate that the loss names on the way, against the one it names at the end")
    expected([t for t in read_tables(folder) if t.has_room])


if __name__ == "__main__":
    main()
