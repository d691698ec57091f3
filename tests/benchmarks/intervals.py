"""How often intervals hold the truth and words err, in simulated studies: the tables of docs/numbers.md, "Intervals".

    python tests/benchmarks/intervals.py [--studies 4000] [--cells] [--out FILE.jsonl]

--cells prints every cell instead of the worst of each number of rows and seeds. With --out each part is kept as it ends,
and a second run takes it from there.
"""

import argparse
import json
import sys
from collections import defaultdict
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import interval_simulation as simulation
from moderated_simulation import borrowed
from resampled_simulation import MADE, resampled_metric

# part -> what computes it, on how many rows, and by how much fewer studies: resampling and seven configurations take long
PARTS = {
    "pairs": (simulation.pairs, simulation.ROWS, 1),
    "chosen": (simulation.studies_with_a_choice, simulation.ROWS, 1),
    "looks": (simulation.looks, (1000,), 1),
    "looks at .95": (partial(simulation.looks, accuracy=0.95), (1000,), 1),
    "borrowed": (borrowed, (2000,), 4),
    **{name: (partial(resampled_metric, name), (200, 500), 2) for name in MADE},
}
WORST = {"estimate": min, "difference": min, "old estimate": min}
AVERAGED = ("power", "undecided", "seeds", "bias", "equivalent when equal")


def rows_of(part: str, rows: int, studies: int, kept: Path | None) -> list[tuple[list, simulation.Shares]]:
    """The cells of a part, from the file where they are in it."""
    compute, _, fewer = PARTS[part]
    lines = [json.loads(line) for line in kept.read_text().splitlines()] if kept and kept.is_file() else []
    for line in lines:
        if line[:3] == [part, rows, studies]:
            return line[3]
    found = [(list(cell), shares) for cell, shares in compute(rows, studies // fewer).items()]
    if kept:
        with kept.open("a") as file:
            file.write(json.dumps([part, rows, studies, found]) + "\n")
    return found


def summary(cells: list[tuple[list, simulation.Shares]]) -> list[tuple[list, simulation.Shares]]:
    """The worst over accuracies and spreads of each number of rows and seeds, and the mean of what cannot be worse."""
    grouped: dict[tuple, list] = defaultdict(list)
    for cell, shares in cells:
        grouped[cell[0], cell[-1]].append(shares)
    return [
        (
            list(cell),
            {
                name: sum(s[name] for s in found) / len(found)
                if name in AVERAGED
                else WORST.get(name, max)(s[name] for s in found)
                for name in found[0]
            },
        )
        for cell, found in grouped.items()
    ]


def table(cells: list[tuple[list, simulation.Shares]]) -> str:
    """Cells as markdown, shares in percent."""
    names = list(cells[0][1])
    lines = ["| cell | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for cell, shares in cells:
        shown = (f"{v:.2f}" if n in ("seeds", "bias") else f"{100 * v:.1f}" for n, v in shares.items())
        lines.append(f"| {', '.join(map(str, cell))} | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def main() -> None:
    """Print a table for each part."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--studies", type=int, default=4000)
    options.add_argument("--cells", action="store_true")
    options.add_argument("--out", type=Path)
    asked = options.parse_args()
    for part, (_, sizes, fewer) in PARTS.items():
        cells = [cell for rows in sizes for cell in rows_of(part, rows, asked.studies, asked.out)]
        print(
            f"\n{part}, {asked.studies // fewer:,} studies a cell\n\n{table(cells if asked.cells else summary(cells))}",
            flush=True,
        )


if __name__ == "__main__":
    main()
