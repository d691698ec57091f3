"""What a toolkit is given, what it answers, and the registry of toolkits."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from autopeft.backbone.resolve import BUILTIN, resolve
from autopeft.backbone.shapes import BackboneShapes
from autopeft.base.errors import AutopeftError, did_you_mean, printable
from autopeft.configuration import Configuration
from autopeft.export.mechanisms.beyond import beyond_parameters
from autopeft.methods import Method, count, get_method, peft_fields
from autopeft.study.length import evaluation_interval, steps_per_epoch
from autopeft.study.records import StudyResult
from autopeft.study.spec import USUAL_HEAD_RATE
from autopeft.tasks.kind import DEFAULT, TaskKind, get_kind

REGISTRY: dict[str, "Toolkit"] = {}


@dataclass(frozen=True)
class Case:
    """One configuration of a study, with all that a toolkit's files say."""

    name: str  # "trial 7"
    configuration: Configuration
    shapes: BackboneShapes
    spec: dict[str, Any]  # the study's YAML, defaults filled in
    task: dict[str, Any]  # Task.summary()
    environment: dict[str, Any] = field(default_factory=dict)
    folder: str = ""  # the study's
    best_steps: tuple[int, ...] = ()  # of its own runs that could end early, one for each seed: whose weights counted

    @classmethod
    def of(cls, result: StudyResult, name: str, configuration: Configuration) -> "Case":
        """Describe a configuration of a study.

        Args:
            result: the study.
            name: what it is called: "trial 7".
            configuration: the configuration.
        """
        curves = [c for o in result.outcomes if o.configuration == configuration for c in o.curves]
        best = tuple(c.best_step for c in curves if c.best_step is not None)
        made = result.spec, result.task, result.environment, result.folder
        return cls(name, configuration, result.shapes, *made, best)

    @property
    def kind(self) -> TaskKind:
        """What is learnt."""
        return get_kind(self.task.get("kind") or self.spec.get("task") or DEFAULT)

    @property
    def classifies(self) -> bool:
        """Whether the task is text classification."""
        return self.kind.name == DEFAULT

    @property
    def generates(self) -> bool:
        """Whether the task trains the language model itself, without a head of its own."""
        return self.kind.peft_task_type == "CAUSAL_LM"

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the classes, in index order."""
        return tuple(map(str, self.task.get("classes", ())))

    @property
    def model(self) -> str:
        """What a toolkit finds the checkpoint by, wherever it is started: a folder's whole path or a hub name."""
        return resolve(self.spec["model"]) if self.spec["model"] in BUILTIN else whole_path(self.spec["model"])

    @property
    def data(self) -> str:
        """What `load_task` finds the data by, wherever it is started."""
        return whole_path(self.spec["data"])

    @property
    def methods(self) -> tuple[Method, ...]:
        """The methods of the configuration, of a combination each."""
        return tuple(map(get_method, self.configuration.methods))

    @cached_property
    def fields(self) -> dict[str, Any]:
        """The peft config as a dict, for the study's kind of task."""
        return peft_fields(self.configuration, self.shapes)

    @property
    def adapter_fields(self) -> dict[str, Any]:
        """The peft config of the adapters on a language model: without the task head and the kind of task."""
        saved = [path for path in self.fields["modules_to_save"] if path not in self.shapes.head_modules]
        rest = {k: v for k, v in self.fields.items() if k not in ("task_type", "modules_to_save")}
        return {**rest, "modules_to_save": saved} if saved else rest

    @property
    def trainable(self) -> int:
        """Trainable parameters, the task head left out."""
        return count(self.configuration, self.shapes)

    @property
    def learning_rate(self) -> float:
        """Of the method's parameters, at its peak."""
        return self.configuration.learning_rate

    @property
    def head_learning_rate(self) -> float:
        """The linear probe trains nothing but the head, at its own rate."""
        if self.configuration.method == "head_only":
            return self.learning_rate
        return self.spec["head_learning_rate"] or USUAL_HEAD_RATE

    @property
    def steps(self) -> int:
        """The full length of a training."""
        return self.spec["full_steps"]

    @property
    def epochs(self) -> float:
        """The same in passes over the training rows."""
        return self.steps / steps_per_epoch(self.task["train"], self.spec["batch_size"])

    @property
    def evaluation_interval(self) -> int | None:
        """Steps between the evaluations by which the study's runs could end early; None where they could not."""
        return evaluation_interval(self.steps, self.spec.get("epochs"))

    @property
    def format(self) -> str:
        """The frozen backbone's format when the study trained ("fp32" or "bf16"), else the one that was asked for."""
        measured = self.environment.get("precision", {}).get("format")
        return measured or ("fp32" if self.spec["precision"] == "auto" else self.spec["precision"])

    @property
    def precision(self) -> str:
        """The number format for a file that names no device: on a CPU transformers' Trainer refuses bf16 by default."""
        return "fp32" if self.environment.get("device", "cpu") == "cpu" else self.format

    @property
    def no_dropout(self) -> dict[str, float]:
        """The fields of the model's config that a toolkit sets to 0, since no dropout runs in a search."""
        return dict.fromkeys(self.shapes.dropout or (), 0.0)

    @property
    def beyond(self) -> tuple[str, ...]:
        """What is lost, a sentence each, where only the parameters of the peft config are trained by a usual loop."""
        return beyond_parameters(self.configuration)

    @property
    def instead(self) -> str:
        """What a usual loop trains of the peft config: of ranks that the data decide, the mean for every module."""
        if self.fields["peft_type"] == "LORA" and any(m.needs_statistics for m in self.methods):
            return f"LoRA of rank {self.fields['r']} in the same modules"
        return f"the parameters of {self.configuration.method}, all of them at every step"


def whole_path(name: str) -> str:
    """A path in full, where there is such a file or folder; any other name as it is."""
    return str(Path(name).expanduser().resolve()) if Path(name).expanduser().exists() else name


@dataclass(frozen=True)
class Written:
    """A toolkit's answer: its files and what they do not hold, or why there are none."""

    files: dict[str, str] = field(default_factory=dict)  # name -> text
    command: str = ""  # runs the training from inside the folder
    losses: tuple[str, ...] = ()  # a sentence each
    nearest: str = ""  # what is trained instead, where something is lost
    reason: str = ""  # one sentence: why the toolkit cannot do it; then there are no files

    @property
    def verdict(self) -> str:
        """How the toolkit can express the case: lossless, lossy or unsupported."""
        return "unsupported" if self.reason else "lossy" if self.losses else "lossless"


class Toolkit:
    """A program that trains a configuration from files of its own. A subclass that sets `name` registers itself."""

    name: ClassVar[str] = ""
    title: ClassVar[str]  # as its makers write it: "LLaMA-Factory"
    what: ClassVar[str]  # one line for the table of toolkits: what is written for it
    needs: ClassVar[str]  # what has to be installed: "llamafactory 0.9.5"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.name:
            REGISTRY[cls.name] = cls()

    def write(self, case: Case) -> Written:
        """Make the files as text; nothing goes to disk, and the toolkit need not be installed."""
        raise NotImplementedError

    def generates(self, case: Case) -> tuple[str, tuple[str, ...]]:
        """(reason or "", losses) of a toolkit that trains causal language models only."""
        if not case.shapes.is_decoder:
            encoder = f"{case.spec['model']} is a {case.shapes.model_type} encoder"
            return f"{self.title} trains language models that generate, and {encoder}.", ()
        if case.kind.name == "choice":
            return "", (
                f"The options are not compared: {self.title} trains the likelihood of the right one alone, and of the end after it.",
            )
        if case.generates:
            return "", ()
        if not case.classifies:
            return f"{self.title} trains language models that generate, and the study's task is {case.kind.name}.", ()
        head = ", ".join(case.shapes.head_modules)
        return "", (
            f"The classification head ({head}) is not trained: {self.title} trains the language model itself, "
            "which learns to write a class's word after the text.",
        )


def in_docstring(text: object) -> str:
    """A text that cannot end the docstring of a script that holds it: names come from data files and studies."""
    return printable(str(text)).replace("\\", "/").replace('"', "'")


def get_toolkit(name: str) -> Toolkit:
    """The registered toolkit of that name. Raises AutopeftError with the nearest name."""
    if name not in REGISTRY:
        raise AutopeftError(f"Unknown toolkit '{name}'." + did_you_mean(name, REGISTRY))
    return REGISTRY[name]
