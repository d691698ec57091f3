"""studies/*.yaml + overrides -> StudySpec: everything a user may say of a study.

The command line's options are made from these fields: name, type, default and description stand only here.
"""

import re
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_serializer, field_validator

from autopeft.backbone.verbalisers import words_of
from autopeft.base.artefacts import checked_place
from autopeft.base.quantities import bytes_of, seconds_of
from autopeft.base.recipe import COHORT, ETA, OBJECTIVES, RUNGS
from autopeft.base.run_length import RunLength
from autopeft.base.yaml_files import read_yaml, validated
from autopeft.study.storage_url import without_password
from autopeft.study.task_spec import SEEDS, TaskSpec
from autopeft.study.trust import check_trusted

FREE = (
    "trials",
    "time",
    "timeout",
    "ceiling",
    "workers",
    "executor",
    "address",
    "packing",
    "prefix_cache",
    "margin",
)  # may change between two runs of the same study
BEGAN = ("portfolio", "rates", "sampler", "conflicts")  # a resumed study goes on as it began
PLANNED = ("trials", "full_steps", "finalists", "seeds", "ceiling")  # by `time`, unless given with it
READ_BY = {"prefix_cache": bytes_of, "time": seconds_of, "artefacts": checked_place}
USUAL_HEAD_RATE = 1e-3  # where nothing is known of the task
HEAD_SHARE = 1 / 3  # of the rate that the head wants alone, with something adapted below it


class StudySpec(TaskSpec):
    """A study: model, data, space, budget, how long to train, and seeds.

    Example:
        >>> from autopeft import StudySpec
        >>> StudySpec(budget="0.5%", trials=20).name
        'minilm-l6-rotten-tomatoes-default-0.5'
    """

    proxy_rows: int | None = Field(
        None, ge=2, description="Train trials on this many training rows; finalists and baselines always see all."
    )
    proxy_choice: Literal["random", "stratified", "influence", "transport"] = Field(
        "random", description="Which rows these are: drawn, by class, by influence and effort, or by optimal transport."
    )
    max_length: int = Field(128, ge=4, description="Longest text in tokens; longer ones are cut.")
    pattern: str | None = Field(
        None, description="Words that end every text, for a decoder to continue: ' All in all, it was'."
    )
    verbalisers: str | None = Field(
        None, description="The word with which a decoder would continue, for each class: neg=bad,pos=good."
    )
    space: str = Field("default", description="Search space: a name in search_spaces/ or a YAML file.")
    budget: str | None = Field(
        None, description="Most trainable parameters: 0.5%, 300k, 1.5M (the head is counted apart)."
    )
    objectives: str = Field(
        OBJECTIVES,
        description="What is weighed against each other: metric, loss, parameters, adapter-bytes, train-flops, "
        "train-memory, step-time, latency, or your own package.module:function; two or more, joined by commas.",
    )
    limit: tuple[str, ...] = Field(
        (),
        description="Most that a configuration may come to, counted before training: train-memory=20GB, "
        "train-flops=0.6x (of uniform LoRA's), adapter-bytes=500k; may be given several times.",
    )
    importance: str = Field(
        "none",
        description="Layer scores that weight the layers: none, trace, gradient, variance, saving, uniform or random.",
    )
    portfolio: bool = Field(
        True, description="Begin with the configurations that did best on a benchmark of tasks; else with defaults."
    )
    rates: int = Field(
        3,
        ge=1,
        le=10**4,
        description="Learning rates with which a trial starts; after its first steps the best goes on.",
    )
    sampler: str = Field(
        "multitask-gp",
        description="multitask-gp, which has seen the benchmark of tasks; tpe, tpe-multivariate, tpe-group, nsga2, gp or random.",
    )
    trials: int = Field(40, ge=1, le=10**9, description="Configurations to try.")
    time: str | None = Field(
        None,
        description="Time for the whole search, such as 30m or 2h: from the measured speed it is planned how many trials, "
        "steps, finalists and seeds fit; what is given of these stays.",
    )
    timeout: float | None = Field(None, gt=0, description="Stop starting trials after this many seconds.")
    seed: int = Field(
        0, ge=0, le=SEEDS, description="Seed of the sampler and of every trial; finalists take the seeds after it."
    )
    full_steps: int | None = Field(
        None,
        ge=1,
        le=10**9,
        description="Training steps of a whole run, instead of epochs; none of its runs then ends early.",
    )
    epochs: float | None = Field(
        None,
        gt=0,
        le=10**6,
        description="Passes over the training rows of a whole run (default: 3, or for few rows as many as make about "
        "300 steps, at most 20); finalists and baselines end early when the validation loss stops falling.",
    )
    rungs: str = Field(
        RUNGS, description="Shares of full_steps at which trials are compared and most of them stopped, or none."
    )
    eta: int = Field(
        ETA, ge=2, le=10**6, description="At a rung the front is promoted, and at least one of this many trials."
    )
    cohort: int = Field(
        COHORT, ge=1, le=10**6, description="Trials that are asked for and compared at the rungs together."
    )
    batch_size: int = Field(32, ge=1, le=10**6, description="Rows per training step.")
    head_learning_rate: float | None = Field(
        None,
        gt=0,
        description="Learning rate of the task head, the same for every method (if not given, by what the head alone "
        "wants on these data).",
    )
    seeds: int = Field(
        3,
        ge=1,
        le=10**6,
        description="Most seeds of a finalist or baseline; more than one goes to what could still be an answer.",
    )
    finalists: int = Field(
        6, ge=1, le=10**6, description="At most this many members of the front are re-trained at full length."
    )
    margin: float | None = Field(
        None,
        gt=0,
        description="Largest gap in quality that two equivalent configurations may have (one point, 0.01, of a score "
        "between 0 and 1 if not given; else a hundredth of uniform LoRA's).",
    )
    ceiling: bool = Field(True, description="Also fine-tune the whole backbone, as the ceiling.")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="Format of the frozen backbone; auto measures."
    )
    workers: int | None = Field(
        None,
        ge=1,
        le=10**4,
        description="Processes that train side by side (on this CPU measured, else as many as there is room).",
    )
    executor: Literal["local", "ray"] = Field("local", description="Who trains: this machine, or a Ray cluster.")
    address: str = Field("auto", description="Address of the Ray cluster; auto is the one this machine belongs to.")
    packing: bool = Field(
        True, description="Train runs that differ in the learning rate only in one batch, if that is faster."
    )
    prefix_cache: str = Field("2GB", description="Most space for stored hidden states of frozen layers, or 0.")
    deterministic: bool = Field(
        False,
        description="Let no timing decide: fp32, a fixed attention, one thread per process, no packing, no stored "
        "hidden states; one seed then gives the same curves.",
    )
    transfer: str | None = Field(None, description="An earlier study's folder: its front is tried first.")
    storage: str | None = Field(
        None,
        description="Optuna storage URL, such as sqlite:///trials.db or postgresql://user@host/name; by default a journal "
        "file in the study folder. Its password is kept nowhere: give it with PGPASSWORD or ~/.pgpass.",
    )
    artefacts: str | None = Field(
        None,
        description="Where states and checkpoints lie: a folder, file:///FOLDER, s3://BUCKET/PREFIX or what else fsspec "
        "opens; by default the study folder, which all workers then have to see.",
    )
    trust_remote_code: bool = Field(False, description="Run Python code that comes with a hub model.")

    @field_validator("budget", mode="before")
    @classmethod
    def _budget_as_text(cls, value: Any) -> str | None:
        return None if value is None else str(value)

    @field_validator("limit", mode="before")
    @classmethod
    def _limits_as_texts(cls, value: Any) -> Any:
        if isinstance(value, dict):
            return tuple(f"{name}={most}" for name, most in value.items())
        return tuple(value) if isinstance(value, list) else value

    @field_serializer("storage")
    def _storage_without_password(self, value: str | None) -> str | None:
        return None if value is None else without_password(value)

    @field_validator("prefix_cache", "time", "artefacts")
    @classmethod
    def _can_be_read(cls, value: str | None, field: ValidationInfo) -> str | None:
        if value is not None and field.field_name:
            READ_BY[field.field_name](value)
        return value

    @property
    def length(self) -> RunLength:
        """Of a whole run."""
        return RunLength(self.steps, self.batch_size)

    @property
    def steps(self) -> int:
        """Training steps of a whole run, which `prepare` or the plan for a time has made of the epochs."""
        assert self.full_steps is not None
        return self.full_steps

    @property
    def head_rate(self) -> float:
        """Learning rate of the task head, which the study has found where it was not given."""
        return USUAL_HEAD_RATE if self.head_learning_rate is None else self.head_learning_rate

    @property
    def prefix_bytes(self) -> int:
        """The most space for stored hidden states; none in a deterministic study.

        A stored row may stem from another batch, which changes its last bits.
        """
        return 0 if self.deterministic else bytes_of(self.prefix_cache)

    @property
    def name(self) -> str:
        """A folder name for this study."""
        parts = (self.model, self.data, self.space, self.budget or "no-budget")
        return "-".join(re.sub(r"[^A-Za-z0-9._]+", "-", p.rstrip("/").split("/")[-1]).strip("-") for p in parts)

    def words(self, label_names: tuple[str, ...]) -> tuple[str, ...] | None:
        """The verbaliser of each class. Raises AutopeftError unless each has one."""
        return words_of(self.verbalisers, label_names) if self.verbalisers else None

    @classmethod
    def read(cls, study: str | Path | None = None, **fields: Any) -> "StudySpec":
        """Read a bundled study or a YAML file, with fields on top of it.

        Args:
            study: a name in studies/ or a file (default: the quickstart, unless a model or data are given).
            fields: any field of a study; None means not given.

        Raises:
            AutopeftError: a key is unknown or a value is none that it can have.

        Example:
            >>> from autopeft import StudySpec
            >>> StudySpec.read("quickstart", budget="300k").trials
            14
        """
        given = {k: v for k, v in fields.items() if v is not None and v != ()}
        own = "model" in given or "data" in given
        data: dict[str, Any] = {}
        sources = ["the command line"] if given else []
        if study is not None or not own:
            data, path = read_yaml(str(study or "quickstart"), "studies")
            sources.insert(0, path.name)
        if "time" in given:
            data = {k: v for k, v in data.items() if k not in (*PLANNED, "epochs")}
        if "full_steps" in given or "epochs" in given:
            data = {k: v for k, v in data.items() if k not in ("full_steps", "epochs")}
        spec = validated(cls, {**data, **given}, " or ".join(sources))
        check_trusted(spec.trust_remote_code, given.get("trust_remote_code"), sources[0] if sources else "")
        return spec

    def fixed(self) -> dict[str, Any]:
        """The fields that make it this study and no other."""
        return {k: v for k, v in self.model_dump().items() if k not in FREE}
