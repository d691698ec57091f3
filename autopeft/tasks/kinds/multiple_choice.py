"""Multiple choice with a new head: the question with each of its options, one score each, the highest is the answer."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from typing_extensions import override

from autopeft.tasks.batches import padded_inputs
from autopeft.tasks.kind import Asked, Batch, Losses, Read, TaskKind, Values
from autopeft.tasks.metrics import accuracy
from autopeft.tasks.task import Split, Task
from autopeft.tasks.tokens import Encoding, TokenisedSplit, encode_texts

if TYPE_CHECKING:
    import torch

    from autopeft.tasks.builtin import Frames


NONE = -1  # where a question has fewer options than another of its batch


class MultipleChoice(TaskKind):
    """A unit is a question: its options are read side by side, and batch sizes count questions."""

    name = "multiple-choice"
    title = "multiple choice"
    columns = "question, choices (a list, or a column each), label (number, letter or text of the right one)"
    example = "autopeft search --data openbookqa --task multiple-choice"
    pipeline_tag = "text-ranking"
    metrics = {"accuracy": accuracy}

    @override
    def read(self, frames: "Frames", asked: Asked) -> Read:
        from autopeft.tasks.choices import read_choices

        return read_choices(frames, asked)

    @override
    def outputs(self, task: Task) -> int:
        return 1

    @override
    def encode(self, split: Split, encoding: Encoding) -> TokenisedSplit:
        """A row for each option: labels (N,) 1 for the right ones, groups (N,) the question of each."""
        rows = [(question, option) for question, options in split.texts for option in options]
        labels = [
            number == right for (_, options), right in zip(split.texts, split.labels) for number in range(len(options))
        ]
        groups = np.repeat(np.arange(len(split)), [len(options) for _, options in split.texts])
        encoded = encode_texts(Split(tuple(rows), tuple(labels)), encoding, np.array(labels, dtype=np.int64), self)
        return replace(encoded, groups=groups, references=split.labels)

    @override
    def collate(self, split: TokenisedSplit, rows: np.ndarray, pad_token_id: int) -> Batch:
        """Targets (U, 1 + O): the right option's number, then which row of the batch each option is, or NONE."""
        import torch

        starts = np.flatnonzero(np.diff(split.unit_of_rows[rows], prepend=-1))
        questions = np.split(np.arange(len(rows)), starts[1:])
        targets = np.full((len(questions), 1 + max(map(len, questions))), NONE)
        for number, places in enumerate(questions):
            targets[number, 0] = split.labels[rows[places]].argmax()
            targets[number, 1 : 1 + len(places)] = places
        return padded_inputs(split, rows, pad_token_id), torch.from_numpy(targets)

    @override
    def losses(self, logits: "torch.Tensor", targets: "torch.Tensor") -> Losses:
        from torch.nn.functional import cross_entropy

        return cross_entropy(scores(logits, targets), targets[:, 0], reduction="none"), None

    @override
    def predictions(self, logits: "torch.Tensor", targets: "torch.Tensor") -> list:
        return scores(logits, targets).argmax(-1).tolist()

    @override
    def references(self, split: TokenisedSplit, units: np.ndarray) -> Values:
        return np.array(split.references)[units]


def scores(logits: "torch.Tensor", targets: "torch.Tensor") -> "torch.Tensor":
    """A score for each row (B, 1) -> for each question's options (U, O), minus infinity where it has none."""
    places = targets[:, 1:]
    return logits[:, 0][places.clamp(min=0)].masked_fill(places == NONE, float("-inf"))
