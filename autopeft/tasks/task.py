"""Task: labelled data of one kind, split once, with its metric."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from autopeft.tasks.kind import DEFAULT, TaskKind, get_kind, kind_of


@dataclass(frozen=True)
class Split:
    """N rows: what is read of each, and its label."""

    texts: tuple[Any, ...]  # a string, a pair, or what else the kind reads: words, a chat, a question with its options
    labels: tuple[Any, ...]  # of classes: indices into Task.label_names

    def __len__(self) -> int:
        return len(self.labels)


def asked(summary: Mapping[str, Any]) -> str:
    """A task's summary -> what it asks of a model, in words: "2 classes", "text regression"."""
    kind, classes = kind_of(summary), len(summary["classes"])
    parts = [kind.title] if kind.name != DEFAULT else []
    return ", ".join(parts + ([f"{classes} classes"] if classes else []))


@dataclass(frozen=True)
class Task:
    """Three disjoint splits and the metric that is maximised."""

    name: str  # the source as the user gave it, short: "rotten-tomatoes", "reviews.csv"
    label_names: tuple[str, ...]  # C classes, in index order; empty for kinds without classes
    metric: str  # one of its kind's, or "package.module:function"
    train: Split
    validation: Split
    test: Split
    reading: str = ""  # which columns were read as what, and the classes with their shares, in a sentence
    notes: tuple[str, ...] = ()  # what was done to the data, a sentence each: duplicates removed, rows dropped ...
    fingerprint: str = ""  # sha256 of splits, labels and metric: two equal tasks have equal fingerprints
    kind: TaskKind = field(default_factory=get_kind)

    @property
    def outputs(self) -> int:
        """num_labels of the head."""
        return self.kind.outputs(self)

    @property
    def said(self) -> list[str]:
        """What was read and what was done to it, a sentence each."""
        return [note for note in (self.reading, *self.notes) if note]

    def summary(self) -> dict[str, Any]:
        """What a report says of the data."""
        return {
            "name": self.name,
            "kind": self.kind.name,
            "classes": list(self.label_names),
            "outputs": self.outputs,
            "facts": self.kind.facts(self),
            "metric": self.metric,
            "train": len(self.train),
            "validation": len(self.validation),
            "test": len(self.test),
            "notes": self.said,
            "fingerprint": self.fingerprint,
        }
