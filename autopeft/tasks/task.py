"""Task: labelled data, split once, with its metric. Imports no torch."""

from dataclasses import dataclass

Text = str | tuple[str, str]


@dataclass(frozen=True)
class Split:
    """Texts (one string, or a pair) and their labels as indices into Task.label_names."""

    texts: tuple[Text, ...]
    labels: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Task:
    """A text-classification task: three disjoint splits and the metric that is maximised."""

    name: str  # the source as the user gave it, short: "rotten-tomatoes", "reviews.csv"
    label_names: tuple[str, ...]  # C classes, in index order
    metric: str  # "accuracy" | "macro-f1" | "matthews"
    train: Split
    validation: Split
    test: Split
    notes: tuple[str, ...] = ()  # what was done to the data, a sentence each: duplicates removed, rows dropped ...
    fingerprint: str = ""  # sha256 of splits, labels and metric: two equal tasks have equal fingerprints

    def summary(self) -> dict:
        """What a report says of the data."""
        return {
            "name": self.name,
            "classes": list(self.label_names),
            "metric": self.metric,
            "train": len(self.train),
            "validation": len(self.validation),
            "test": len(self.test),
            "notes": list(self.notes),
            "fingerprint": self.fingerprint,
        }
