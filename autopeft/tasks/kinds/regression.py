"""Regression: one text or a pair, one number. The model learns standardised numbers; metrics read the user's own."""

from dataclasses import replace

import numpy as np

from autopeft.base.errors import AutopeftError
from autopeft.tasks.kind import Asked, Read, TaskKind
from autopeft.tasks.metrics import neg_rmse, pearson, r2, spearman

NUMBERS = ("label", "labels", "score", "rating", "value", "target", "stars", "similarity", "y")
BINS = 10  # of equal shares: strata of subsets and layer scores


class Regression(TaskKind):
    name = "regression"
    title = "text regression"
    columns = "text (or two), label (a number)"
    example = "autopeft search --data vader-ratings"
    metrics = {"pearson": pearson, "spearman": spearman, "r2": r2, "neg-rmse": neg_rmse}

    def read(self, frames, asked: Asked) -> Read:
        from autopeft.tasks.columns import clean_rows, number_labels, select_columns
        from autopeft.tasks.splits import cap, cap_notes, cut, remove_duplicates
        from autopeft.tasks.task import Split

        name = asked.name
        frames = select_columns(frames, name, asked.text, asked.text_pair, asked.label, asked.group, NUMBERS)
        frames, notes = clean_rows(frames, name, asked.missing_labels)
        frames, duplicates = remove_duplicates({part: number_labels(frame, name) for part, frame in frames.items()})
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

    def outputs(self, task) -> int:
        return 1

    def facts(self, task) -> dict:
        """A trained model's output times `std` plus `mean` is a number of the user's."""
        mean, std = scale(task.train.labels)
        return {"mean": mean, "std": std}

    def encode(self, split, encoding):
        from autopeft.tasks.tokens import encode_texts

        mean, std = scale(encoding.task.train.labels)
        encoded = encode_texts(split, encoding, ((np.array(split.labels) - mean) / std).astype(np.float32), self)
        return replace(encoded, references=split.labels, legend=(mean, std))

    def losses(self, logits, targets):
        return (logits[:, 0] - targets).square(), None

    def predictions(self, logits, targets) -> list:
        return logits[:, 0].tolist()

    def decode(self, predictions, split, units):
        mean, std = split.legend
        return np.array(predictions) * std + mean

    def references(self, split, units):
        return np.array(split.references)[units]

    def strata(self, split):
        return quantile_bins(split.labels)


def scale(labels) -> tuple[float, float]:
    """Mean and standard deviation of the training labels."""
    return float(np.mean(labels)), float(np.std(labels))


def quantile_bins(labels) -> np.ndarray:
    """Numbers (N,) -> the number of each one's bin (N,); equal numbers share a bin."""
    labels = np.asarray(labels, dtype=np.float64)
    return np.searchsorted(np.unique(np.quantile(labels, np.arange(1, BINS) / BINS)), labels, side="right")
