"""What racing saves and what it costs, in made-up searches: the table of docs/numbers.md, "Racing finalists".

python tests/benchmarks/racing.py [--studies 600]
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from racing_simulation import SCENARIOS, simulated

CHOSEN = ("best", "a tenth", "a hundredth")
SAID = ("better or worse", "equivalent", "lean holds up")


def main() -> None:
    """Print a row for each scenario."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--studies", type=int, default=600)
    studies = options.parse_args().studies
    print("| finalists | runs with a seed: all, raced | " + " | ".join(CHOSEN) + " | " + " | ".join(SAID) + " |")
    print("|---" * (2 + len(CHOSEN) + len(SAID)) + "|")
    for scenario in SCENARIOS:
        found = simulated(scenario, studies)
        runs, every = found["runs"][0], found["all runs"][0]
        cells = [f"{every:.1f}, {runs:.1f} (-{100 * (1 - runs / every):.0f} %)"]
        cells += [f"{found[name][0]:+.3f} ± {2 * found[name][1]:.3f}" for name in CHOSEN]
        cells += [f"{100 * found[f'{word}, all'][0]:.1f}, {100 * found[f'{word}, raced'][0]:.1f}" for word in SAID]
        print(f"| {scenario} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
