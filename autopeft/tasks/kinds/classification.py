"""Text classification: one text or a pair, one of C classes."""

from typing import TYPE_CHECKING

import numpy as np
from typing_extensions import override

from autopeft.tasks.kind import Asked, Losses, Read, TaskKind
from autopeft.tasks.metrics import accuracy, macro_f1, matthews
from autopeft.tasks.task import Split
from autopeft.tasks.tokens import Encoding, TokenisedSplit, encode_texts

if TYPE_CHECKING:
    import torch

    from autopeft.tasks.builtin import Frames


class Classification(TaskKind):
    """The head has an output for each class, trained by cross-entropy."""

    name = "classification"
    title = "text classification"
    classes = True
    content = "text"  # what the rows hold, in messages
    columns = "text (or two), label"
    example = "autopeft search --data reviews.csv --label stars"
    metrics = {"accuracy": accuracy, "macro-f1": macro_f1, "matthews": matthews}

    @override
    def read(self, frames: "Frames", asked: Asked) -> Read:
        from autopeft.tasks.classes import check_classes
        from autopeft.tasks.cleaning import clean_rows
        from autopeft.tasks.description import case_notes
        from autopeft.tasks.duplicates import remove_duplicates
        from autopeft.tasks.splits import cap, cap_notes, cut

        name = asked.name
        frames = self.found_columns(frames, asked)
        frames, notes = clean_rows(frames, name, asked.missing_labels, self.content)
        frames, duplicates = remove_duplicates(frames, asked, self.content)
        label_names = check_classes(frames, name)
        frames, cuts = cut(frames, name, asked.seed)
        capped = {part: cap(frame, asked.rows.get(part), asked.seed) for part, frame in frames.items()}
        index = {label: number for number, label in enumerate(label_names)}
        splits = {
            part: Split(
                tuple(zip(frame["text"], frame["text2"]) if "text2" in frame else frame["text"]),
                tuple(index[label] for label in frame["label"]),
            )
            for part, frame in capped.items()
        }
        notes += case_notes(label_names)
        return Read(label_names, splits, (*notes, *duplicates, *cuts, *cap_notes(frames, capped)))

    def found_columns(self, frames: "Frames", asked: Asked) -> "Frames":
        """Frames with any columns -> with text, label and where they apply text2 and group."""
        from autopeft.tasks.columns import select_columns

        return select_columns(frames, asked)

    @override
    def encode(self, split: Split, encoding: Encoding) -> TokenisedSplit:
        return encode_texts(split, encoding, np.array(split.labels, dtype=np.int64), self)

    @override
    def losses(self, logits: "torch.Tensor", targets: "torch.Tensor") -> Losses:
        from torch.nn.functional import cross_entropy

        return cross_entropy(logits, targets, reduction="none"), None

    @override
    def predictions(self, logits: "torch.Tensor", targets: "torch.Tensor") -> list:
        return logits.argmax(-1).tolist()
