"""How early the validation loss chooses a learning rate as well as the whole length would, by the benchmark of tasks.

    python tests/benchmarks/rate_choice.py [--evidence studies/evidence]

Of the candidates with two rates or more that were trained to the end: how often the loss after a step names the rate with
the lowest loss at the end, and what the rate that it names loses in loss and on the test split. No rate is among them that
was stopped before, so these are the close calls.
"""

import argparse
from pathlib import Path

import numpy as np

from autopeft.report.rows import print_rows
from autopeft.tabular.evidence import Evidence, EvidenceRun


def choices(evidence: Evidence) -> list[list[EvidenceRun]]:
    """The whole runs of the first seed, by candidate, where there are several."""
    groups: dict[tuple, list[EvidenceRun]] = {}
    for run in evidence.runs:
        if run.whole and run.role == "candidate" and run.seed == evidence.about["spec"]["seed"]:
            made = run.configuration
            groups.setdefault((made.method, made.settings, made.layers), []).append(run)
    return [runs for runs in groups.values() if len(runs) > 1 and len(runs[0].curve.steps) > 2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--evidence", default="studies/evidence")
    rows = []
    for path in sorted(Path(parser.parse_args().evidence).glob("*.jsonl")):
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


if __name__ == "__main__":
    main()
