"""Reranking: a query and a passage, read together, one score; the passages of a query are ordered by it."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from typing_extensions import override

from autopeft.base.errors import AutopeftError
from autopeft.tasks.kind import Asked, Losses, Read, TaskKind, Values
from autopeft.tasks.ranking_metrics import mrr_at_10, ndcg_at_10
from autopeft.tasks.task import Split, Task
from autopeft.tasks.tokens import Encoding, TokenisedSplit, encode_texts

if TYPE_CHECKING:
    import torch

    from autopeft.tasks.builtin import Frames


if TYPE_CHECKING:
    import pandas as pd

QUERIES = ("query", "question", "text", "sentence1")
PASSAGES = ("passage", "document", "doc", "answer", "text2", "sentence2", "context")
RELEVANCES = ("relevance", "label", "labels", "score", "relevant", "y")


class Reranking(TaskKind):
    """Trained on single pairs, scored by query: a query and all of its passages lie in one split."""

    name = "reranking"
    title = "passage reranking"
    columns = "query, passage, relevance (a number, 0 for none)"
    example = "autopeft search --data sciq-passages"
    pipeline_tag = "text-ranking"
    metrics = {"mrr@10": mrr_at_10, "ndcg@10": ndcg_at_10}

    @override
    def read(self, frames: "Frames", asked: Asked) -> Read:
        from autopeft.tasks.cleaning import clean_rows, number_labels
        from autopeft.tasks.columns import Column, pick_columns
        from autopeft.tasks.duplicates import remove_duplicates
        from autopeft.tasks.splits import cut

        name = asked.name
        wanted = {
            "text": Column(asked.text, QUERIES, "queries", "--text"),
            "text2": Column(asked.text_pair, PASSAGES, "passages", "--text-pair"),
            "label": Column(asked.label, RELEVANCES, "relevance", "--label"),
        }
        frames = pick_columns(frames, asked, wanted)
        frames, notes = clean_rows(frames, name, asked.missing_labels)
        frames, duplicates = remove_duplicates(
            {p: grouped(number_labels(f, name), name) for p, f in frames.items()}, asked
        )
        frames, apart = queries_apart(frames)
        frames, cuts = cut(frames, name, asked.seed)
        capped = {part: whole_queries(frame, asked.rows.get(part), asked.seed) for part, frame in frames.items()}
        for part, frame in capped.items():
            if not frame.groupby("text")["label"].agg(lambda found: 0 == found.min() < found.max()).any():
                raise AutopeftError(
                    f"No query in the {part} split of {name} has both relevant and irrelevant passages: give each query some of both."
                )
        highest = max(frame["label"].max() for frame in frames.values())
        splits = {
            part: Split(tuple(zip(frame["text"], frame["text2"])), tuple(frame["label"] / highest))
            for part, frame in capped.items()
        }
        used = [
            f"Used {len(capped[part]):,} of {len(frame):,} {part} rows, whole queries."
            for part, frame in frames.items()
            if len(capped[part]) < len(frame)
        ]
        return Read((), splits, (*notes, *duplicates, *apart, *cuts, *used))

    @override
    def outputs(self, task: Task) -> int:
        return 1

    @override
    def encode(self, split: Split, encoding: Encoding) -> TokenisedSplit:
        encoded = encode_texts(split, encoding, np.array(split.labels, dtype=np.float32), self)
        queries = np.unique([query for query, _ in split.texts], return_inverse=True)[1]
        return replace(encoded, references=split.labels, legend=tuple(queries.tolist()))

    @override
    def losses(self, logits: "torch.Tensor", targets: "torch.Tensor") -> Losses:
        from torch.nn.functional import binary_cross_entropy_with_logits

        return binary_cross_entropy_with_logits(logits[:, 0], targets, reduction="none"), None

    @override
    def predictions(self, logits: "torch.Tensor", targets: "torch.Tensor") -> list:
        return logits[:, 0].tolist()

    @override
    def references(self, split: TokenisedSplit, units: np.ndarray) -> Values:
        """(N, 2): relevance from 0 to 1, and the number of the query."""
        return np.column_stack([np.array(split.references)[units], np.array(split.legend)[units]])

    @override
    def strata(self, split: TokenisedSplit) -> np.ndarray:
        return (np.asarray(split.labels) > 0).astype(np.int64)

    @override
    def order(self, split: TokenisedSplit) -> np.ndarray:
        """Query by query: a beginning holds the candidates of its queries, all but perhaps the last one's."""
        queries = np.array(split.legend)
        place = np.random.default_rng(0).permutation(queries.max() + 1)
        return np.argsort(place[queries], kind="stable")


def grouped(frame: "pd.DataFrame", name: str) -> "pd.DataFrame":
    """With a group that no query leaves, and relevant or not as stratum. Raises AutopeftError for a group that parts a query."""
    if frame["label"].min() < 0:
        raise AutopeftError(
            f"{name} has the relevance {frame['label'].min():g}: give 0 for irrelevant and more for relevant."
        )
    frame = frame.assign(stratum=(frame["label"] > 0).astype(int))
    if "group" not in frame:
        return frame.assign(group=frame["text"])
    parted = frame.groupby("text")["group"].nunique() > 1
    if parted.any():
        raise AutopeftError(
            f"The group column of {name} parts the passages of a query ('{str(parted.idxmax())[:40]}'): choose another, or leave --group out."
        )
    return frame


def queries_apart(frames: "Frames") -> "tuple[Frames, list[str]]":
    """The splits that a source has, without queries that also stand in test, or for train in validation."""
    kept: Frames = {}
    seen: set[str] = set()
    removed = 0
    for part in (part for part in ("test", "validation", "train") if part in frames):
        again = frames[part]["text"].isin(seen)
        kept[part] = frames[part][~again].reset_index(drop=True)
        seen |= set(kept[part]["text"])
        removed += int(again.sum())
    return kept, [f"Removed {removed:,} rows of queries that stand in two splits."] if removed else []


def whole_queries(frame: "pd.DataFrame", rows: int | None, seed: int) -> "pd.DataFrame":
    """As many whole queries, drawn at random, as have at most `rows` rows together, one at least."""
    if rows is None or rows >= len(frame):
        return frame
    queries = frame["text"].drop_duplicates().sample(frac=1, random_state=seed)
    sizes = queries.map(frame["text"].value_counts()).cumsum()
    return frame[frame["text"].isin(queries[(sizes <= rows) | (sizes == sizes.iloc[0])])].reset_index(drop=True)
