"""Regression: one text or a pair, one number. The model learns standardised numbers; metrics read the user's own."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from typing_extensions import override

from autopeft.base.errors import AutopeftError
from autopeft.tasks.kind import Asked, Losses, Read, TaskKind, Values
from autopeft.tasks.metrics import neg_rmse, pearson, r2, spearman
from autopeft.tasks.task import Split, Task
from autopeft.tasks.tokens import Encoding, TokenisedSplit, encode_texts

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from autopeft.tasks.builtin import Frames


NUMBERS = ("label", "labels", "score", "rating", "value", "target", "stars", "similarity", "y")
BINS = 10  # of equal shares: strata of subsets and layer scores


class Regression(TaskKind):
    """The head has one output, trained by the squared error of standardised labels."""

    name = "regression"
    title = "text regression"
    columns = "text (or two), label (a number)"
    example = "autopeft search --data vader-ratings"
    metrics = {"pearson": pearson, "spearman": spearman, "r2": r2, "neg-rmse": neg_rmse}

    @override
    def read(self, frames: "Frames", asked: Asked) -> Read:
        from autopeft.tasks.cleaning import clean_rows, number_labels
        from autopeft.tasks.columns import select_columns
        from autopeft.tasks.duplicates import remove_duplicates
        from autopeft.tasks.splits import cap, cap_notes, cut

        name = asked.name
        frames = select_columns(frames, asked, NUMBERS)
        frames, notes = clean_rows(frames, name, asked.missing_labels)
        frames, duplicates = remove_duplicates(
            {part: number_labels(frame, name) for part, frame in frames.items()}, asked
        )
        frames = {part: frame.assign(stratum=quantile_bins(frame["label"])) for part, frame in frames.items()}
        frames, cuts = cut(frames, name, asked.seed)
        capped = {part: cap(frame, asked.rows.get(part), asked.seed) for part, frame in frames.items()}
        if capped["train"]["label"].nunique() < 2:
            raise AutopeftError(f"Every label of the train split of {name} is {capped['train']['label'].iloc[0]:g}.")
        splits = {
            part: Split(
                tuple(zip(frame["text"], frame["text2"]) if "text2" in frame else frame["text"]), tuple(frame["label"])
            )
            for part, frame in capped.items()
        }
        return Read((), splits, (*notes, *duplicates, *cuts, *cap_notes(frames, capped)))

    @override
    def outputs(self, task: Task) -> int:
        return 1

    @override
    def facts(self, task: Task) -> dict[str, float]:
        """A trained model's output times `std` plus `mean` is a number of the user's."""
        mean, std = scale(task.train.labels)
        return {"mean": mean, "std": std}

    @override
    def encode(self, split: Split, encoding: Encoding) -> TokenisedSplit:
        mean, std = scale(encoding.task.train.labels)
        encoded = encode_texts(split, encoding, ((np.array(split.labels) - mean) / std).astype(np.float32), self)
        return replace(encoded, references=split.labels, legend=(mean, std))

    @override
    def losses(self, logits: "torch.Tensor", targets: "torch.Tensor") -> Losses:
        return (logits[:, 0] - targets).square(), None

    @override
    def predictions(self, logits: "torch.Tensor", targets: "torch.Tensor") -> list:
        return logits[:, 0].tolist()

    @override
    def decode(self, predictions: list, split: TokenisedSplit, units: np.ndarray) -> Values:
        mean, std = split.legend
        return np.array(predictions) * std + mean

    @override
    def references(self, split: TokenisedSplit, units: np.ndarray) -> Values:
        return np.array(split.references)[units]

    @override
    def strata(self, split: TokenisedSplit) -> np.ndarray:
        return quantile_bins(split.labels)


def scale(labels: Values) -> tuple[float, float]:
    """Mean and standard deviation of the training labels."""
    return float(np.mean(labels)), float(np.std(labels))


def quantile_bins(labels: "Values | pd.Series") -> np.ndarray:
    """Numbers (N,) -> the number of each one's bin (N,); equal numbers share a bin."""
    numbers = np.asarray(labels, dtype=np.float64)
    return np.searchsorted(np.unique(np.quantile(numbers, np.arange(1, BINS) / BINS)), numbers, side="right")
