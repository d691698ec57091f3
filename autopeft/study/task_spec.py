"""The part of a study that says which model and which data."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

SEEDS = 2**31 - 1  # the largest seed: every generator takes it, with some to spare for the seeds after it


class TaskSpec(BaseModel):
    """A model, data, and how the data are read."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    model: str = Field(
        "minilm-l6",
        min_length=1,
        description="Backbone: a folder, a built-in name (minilm-l6, minilm-l3, smollm2-135m) or a hub name.",
    )
    data: str = Field(
        "rotten-tomatoes",
        min_length=1,
        description="Data: a CSV, TSV, JSONL or Parquet file, a datasets folder, a built-in or a hub name.",
    )
    text: str | None = Field(None, min_length=1, description="Column with the text (found if not given).")
    text_pair: str | None = Field(
        None,
        min_length=1,
        description="Column with the second text of a pair, or the columns of the options, joined by commas.",
    )
    label: str | None = Field(None, min_length=1, description="Column with the label (found if not given).")
    group: str | None = Field(
        None, min_length=1, description="Column whose values must not be split over train, validation and test."
    )
    missing_labels: Literal["refuse", "drop"] = Field("refuse", description="What to do with rows that have no label.")
    conflicts: Literal["refuse", "drop", "first"] | None = Field(
        None,
        description="What to do with texts that occur with different labels: refuse them, drop them, or keep the first "
        "(drop if not given; of built-in data and of kinds without classes first).",
    )
    task: str | None = Field(
        None, description="Kind of task (`autopeft data tasks`); a built-in's own or classification if not given."
    )
    metric: str | None = Field(
        None,
        min_length=1,
        description="What is maximised: one of the task's metrics (its first if not given), or package.module:function.",
    )
    train_rows: int | None = Field(None, ge=2, description="Use at most this many training rows.")
    validation_rows: int | None = Field(None, ge=2, description="Use at most this many validation rows.")
    test_rows: int | None = Field(None, ge=2, description="Use at most this many test rows.")

    def task_arguments(self) -> dict[str, Any]:
        """The fields that say what the data are."""
        names = (
            "data",
            "text",
            "text_pair",
            "label",
            "group",
            "task",
            "metric",
            "train_rows",
            "validation_rows",
            "test_rows",
            "missing_labels",
            "conflicts",
        )
        return {name: getattr(self, name) for name in names}
