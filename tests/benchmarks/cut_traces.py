"""Deviations of SmolLM2's layers in small random groups of training rows, and the cuts that draws of groups give."""

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from autopeft.backbone.shapes import BackboneShapes
from autopeft.importance import cut as cuts
from autopeft.importance.lm_basis import lm_cosines
from autopeft.importance.semantic_trace import DEVIATIONS, cumulative_parameters
from autopeft.importance.transitions import transition_deviation
from autopeft.proxy.precision import Precision, resident
from autopeft.tasks import load_task
from autopeft.tasks.tokens import tokenise

GROUP, GROUPS = 64, 24  # rows of a group, drawn without replacement; groups
SIZES, DRAWS = (64, 128, 256, 512), 10


def measure(kept: Path, name: str, source: dict, model: str, max_length: int) -> None:
    """Measure the groups of a task that are missing, a line each."""
    done = {(x["task"], x["group"]) for x in read(kept)}
    task = load_task(**source)
    backbone = resident(model, task.outputs, Precision("bf16", "sdpa", {}), kind=task.kind)
    tokenised = tokenise(task, backbone.tokenizer, max_length)
    order = np.random.default_rng(0).permutation(task.kind.true_rows(tokenised.train))
    for group in range(GROUPS):
        if (name, group) not in done:
            to_basis, steps = lm_cosines(backbone, tokenised, order[group * GROUP :][:GROUP], group)
            found = {"states": 1 - to_basis, "transitions": transition_deviation(to_basis, steps)}
            line = {"task": name, "group": group, "positions": len(steps)}
            line |= {of: per_position.mean(axis=0).round(6).tolist() for of, per_position in found.items()}
            with kept.open("a") as file:
                file.write(json.dumps(line) + "\n")


def read(kept: Path) -> list[dict]:
    """The lines of what is done."""
    return [json.loads(line) for line in kept.read_text().splitlines()] if kept.is_file() else []


def deviation(groups: list[dict], of: str) -> np.ndarray:
    """The mean deviation (L + 1,) over the positions of groups."""
    return np.average([g[of] for g in groups], axis=0, weights=[g["positions"] for g in groups])


def cuts_of(groups: list[dict], of: str, shapes: BackboneShapes) -> dict[str, int]:
    """The cut of each gain, as the trace makes it, and that of the raw gain where the last block's is left out."""
    found = deviation(groups, of)
    gains = cuts.gains(found, cumulative_parameters(shapes)) | {"inner": -np.diff(found)[:-1]}
    return {gain: 0 if cuts.is_flat(found) else min(cuts.cut_at(g, 0), len(found) - 2) for gain, g in gains.items()}


def draws(groups: list[dict], rows: int) -> Iterator[list[dict]]:
    """Ten draws of so many rows: disjoint while there are groups, then from the beginning in another order."""
    generator, wanted, pile = np.random.default_rng(rows), rows // GROUP, []
    for _ in range(DRAWS):
        if len(pile) < wanted:
            pile = list(generator.permutation(len(groups)))
        yield [groups[pile.pop()] for _ in range(wanted)]


def drawn_cuts(groups: list[dict], shapes: BackboneShapes) -> dict[tuple[str, str, int], list[int]]:
    """(deviation, gain, rows) -> the cut of each draw."""
    found = defaultdict(list)
    for rows in SIZES:
        for drawn in draws(groups, rows):
            for of in DEVIATIONS:
                for gain, cut in cuts_of(drawn, of, shapes).items():
                    found[of, gain, rows].append(cut)
    return found
