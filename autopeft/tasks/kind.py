"""The interface that every kind of task implements, and the registry."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

import numpy as np

from autopeft.base.errors import AutopeftError, did_you_mean
from autopeft.base.plugins import check_plugins

if TYPE_CHECKING:
    import torch

    from autopeft.base.packages import Note
    from autopeft.tasks.builtin import Frames
    from autopeft.tasks.task import Split, Task
    from autopeft.tasks.tokens import Encoding, TokenisedSplit

REGISTRY: dict[str, "TaskKind"] = {}
DEFAULT = "classification"  # what a task is unless somebody says otherwise

Batch: TypeAlias = "tuple[dict[str, torch.Tensor], torch.Tensor]"  # the model's inputs, each (B, ...), and the targets
Losses: TypeAlias = "tuple[torch.Tensor, torch.Tensor | None]"  # of each unit (U,), and its weight in a mean (U,)
Values: TypeAlias = Sequence[Any] | np.ndarray  # one for each unit: what a metric reads
Metric: TypeAlias = Callable[[Values, Values], float]  # (references, predictions) -> a number to maximise
MissingLabels = Literal["refuse", "drop"]  # rows without a label end the reading, or are left out
Conflicts = Literal["refuse", "drop", "first"]  # texts with different labels: likewise, or the first label counts


@dataclass(frozen=True)
class Asked:
    """What a user says of the data: columns by name (None: found by their usual names), and how they are cut and cleaned."""

    name: str  # of the source, for messages
    text: str | None = None
    text_pair: str | None = None
    label: str | None = None
    group: str | None = None
    missing_labels: MissingLabels = "refuse"
    conflicts: Conflicts = "drop"
    seed: int = 0
    rows: dict[str, int | None] = field(default_factory=dict)  # most rows of each split
    taken: dict[str, str] = field(default_factory=dict)  # filled while reading: what a column is read as -> its name


@dataclass(frozen=True)
class Read:
    """What a kind makes of a source: label names (empty where there are none), the three splits, notes."""

    label_names: tuple[str, ...]
    splits: dict[str, "Split"]
    notes: tuple[str, ...]


class TaskKind:
    """What a task asks of a model: its columns, its head, its loss, its metrics. A subclass with a `name` registers itself.

    Shapes: B rows of a batch, S tokens, C outputs. A unit is what is scored: a row, or where a kind reads several rows
    together (the options of a question) all of these.
    """

    name: ClassVar[str] = ""
    title: ClassVar[str]  # "text classification"
    modality: ClassVar[str] = "text"  # what a row is; the others' rows are tensors of one size: image, audio
    auto_processor: ClassVar[str] = "AutoTokenizer"  # of transformers
    auto_model: ClassVar[str] = "AutoModelForSequenceClassification"  # of transformers
    peft_task_type: ClassVar[str | None] = "SEQ_CLS"
    pipeline_tag: ClassVar[str] = "text-classification"
    metrics: ClassVar[dict[str, Metric]]  # by name; the first is the default
    row_level: ClassVar[bool] = True  # one output per row, read off one state: tokens may be dropped or changed
    two_stacks: ClassVar[bool] = False  # for encoder-decoders: layers are the encoder's blocks, then the decoder's
    classes: ClassVar[bool] = False  # each row is one of C classes, and the logits are (B, C)
    new_head: ClassVar[bool] = True  # a head is trained beside the method; False: the checkpoint's own stays as it is
    decoders_only: ClassVar[bool] = False
    trace_basis: ClassVar[str] = "class-means"  # what the semantic trace measures against unless it is told
    evaluation_rows: ClassVar[int | None] = None  # most units of a batch that is scored; None: as the device likes
    columns: ClassVar[str] = ""  # what `read` looks for, in words
    example: ClassVar[str] = ""  # a command
    input_name: ClassVar[str] = ""  # of rows that are no texts: what the model's forward calls them

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not vars(cls).get("name"):  # an inherited name is another kind's
            return
        if cls.name in REGISTRY:
            raise AutopeftError(f"There is a kind of task called '{cls.name}' already: give this one another name.")
        REGISTRY[cls.name] = cls()

    def __reduce__(self) -> tuple[Callable[[str], "TaskKind"], tuple[str]]:
        """There is one object of each kind: copies and pickles are that one, found by its name."""
        return get_kind, (self.name,)

    def frames(self, data: str, note: "Note | None" = None) -> "Frames":
        """A source that is not built in -> its frames with any columns. Raises AutopeftError."""
        from autopeft.tasks.files import read_source

        return read_source(data, note)

    def read(self, frames: "Frames", asked: Asked) -> Read:
        """Frames with any columns -> cleaned splits. Raises AutopeftError for data that no such task can be made of."""
        raise NotImplementedError

    def outputs(self, task: "Task") -> int:
        """num_labels of the head, C."""
        return len(task.label_names)

    def encode(self, split: "Split", encoding: "Encoding") -> "TokenisedSplit":
        """Texts -> token ids, with labels in the form that `collate` pads."""
        raise NotImplementedError

    def collate(self, split: "TokenisedSplit", rows: np.ndarray, pad_token_id: int) -> Batch:
        """B row numbers -> the model's inputs, each (B, S) int64 padded on the right, and one tensor of targets.

        Args:
            split: the rows.
            rows: row numbers (B,); those of a unit stand side by side.
            pad_token_id: fills input_ids.
        """
        import torch

        from autopeft.tasks.batches import padded_inputs

        return padded_inputs(split, rows, pad_token_id), torch.from_numpy(split.labels[rows])

    def logits(self, out: Any) -> "torch.Tensor":
        """The model's output -> one tensor (B, ...) in fp32."""
        return out.logits.float()

    def losses(self, logits: "torch.Tensor", targets: "torch.Tensor") -> Losses:
        """Logits and the targets of `collate` -> the loss of each unit (U,), its weight in a mean (U,) or None if all are equal."""
        raise NotImplementedError

    def loss(self, logits: "torch.Tensor", targets: "torch.Tensor") -> "torch.Tensor":
        """The mean loss, a scalar."""
        values, weights = self.losses(logits, targets)
        return values.mean() if weights is None else (values * weights).sum() / weights.sum()

    def weight(self, split: "TokenisedSplit", rows: np.ndarray) -> float:
        """The sum of the weights of `losses` on these rows."""
        return float(len(split.units(rows)))

    def predictions(self, logits: "torch.Tensor", targets: "torch.Tensor") -> list:
        """What each unit of a batch is predicted to be."""
        raise NotImplementedError

    def decode(self, predictions: list, split: "TokenisedSplit", units: np.ndarray) -> Values:
        """The predictions of these units in the form the metrics read."""
        return predictions

    def references(self, split: "TokenisedSplit", units: np.ndarray) -> Values:
        """What the predictions of these units are compared with."""
        return split.labels[units]

    def strata(self, split: "TokenisedSplit") -> np.ndarray:
        """A class number for each row (N,), by which subsets keep their shares and layer scores their classes."""
        return np.asarray(split.labels)

    def token_classes(self, split: "TokenisedSplit", row: int) -> np.ndarray | None:
        """A class number for each token of a row, -1 for none (S,); None where tokens have no labels of their own."""
        return None

    def order(self, split: "TokenisedSplit") -> np.ndarray:
        """All units in a fixed order whose beginnings stand for the whole: what short runs are scored on."""
        import pandas as pd

        from autopeft.tasks.splits import stratified_order

        if split.groups is not None:
            return np.random.default_rng(0).permutation(split.number_of_units)
        return stratified_order(pd.Series(self.strata(split)), 0)

    def facts(self, task: "Task") -> dict[str, float]:
        """What whoever uses the trained model has to know besides the label names: numbers by name."""
        return {}

    def true_rows(self, split: "TokenisedSplit") -> np.ndarray:
        """The rows that say what is the case: all of them, but for the wrong options of a question."""
        return np.arange(len(split))

    def processed(self, decoded: list, processor: Any) -> np.ndarray:
        """Of rows that are no texts: B decoded ones -> (B, ...) fp32. Raises ValueError where the processor refuses them."""
        raise NotImplementedError

    def blank(self, processor: Any) -> Any:
        """Of rows that are no texts: a decoded one of nothing, to see what the model makes of it."""
        raise NotImplementedError

    def generates(self, metric: str) -> bool:
        """Whether a metric compares texts that the model writes, with references that are texts."""
        return False

    def prompts(self, split: "TokenisedSplit", units: np.ndarray) -> list[np.ndarray]:
        """The tokens of each unit that the model continues, for metrics of generated texts."""
        raise NotImplementedError

    def score(self, metric: str, references: Values, predictions: Values) -> float:
        """The metric, by name or "package.module:function"."""
        return float(self.metric(metric)(references, predictions))

    def metric(self, name: str) -> Metric:
        """The function of a metric. Raises AutopeftError with a suggestion."""
        from autopeft.tasks.metrics import own_metric

        if ":" in name:
            return own_metric(name)
        if name not in self.metrics:
            raise AutopeftError(
                f"There is no metric '{name}' for {self.title}.{did_you_mean(name, self.metrics)} "
                "One of your own is package.module:function."
            )
        return self.metrics[name]

    def default_metric(self, label_names: tuple[str, ...]) -> str:
        """The metric of a task with these labels whose user names none."""
        return next(iter(self.metrics))

    def check_metric(self, metric: str, label_names: tuple[str, ...]) -> None:
        """Raise AutopeftError where the metric cannot be computed on these labels."""


def all_kinds() -> Mapping[str, TaskKind]:
    """Every kind by its name. Raises AutopeftError where a plug-in cannot be loaded."""
    import autopeft.tasks.kinds  # noqa: F401  (the files register themselves)

    check_plugins()
    return REGISTRY


def get_kind(name: str = DEFAULT) -> TaskKind:
    """The registered kind of that name. Raises AutopeftError with the nearest name."""
    kinds = all_kinds()
    if name not in kinds:
        raise AutopeftError(f"Unknown task '{name}'." + did_you_mean(name, kinds))
    return kinds[name]


def kind_of(summary: Mapping[str, Any]) -> TaskKind:
    """The kind of a task whose summary (Task.summary()) was stored; the oldest summaries name none."""
    return get_kind(summary.get("kind", DEFAULT))
