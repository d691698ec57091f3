"""Toolkits that are configured by one YAML file, with the rows of the study beside it."""

from typing import ClassVar

import yaml
from typing_extensions import override

from autopeft.base.recipe import CLIP, WEIGHT_DECAY
from autopeft.export.mechanisms.low_rank import LowRank
from autopeft.export.mechanisms.rows import PROMPTED, rows_script
from autopeft.export.mechanisms.toolkit import Case, Toolkit, Written

Tuned = tuple[dict, tuple[str, ...], str]  # keys that say what is trained, losses, what is trained instead


class YamlToolkit(Toolkit):
    """A toolkit with one YAML file. A subclass says what its keys are, and what they cannot hold."""

    file: ClassVar[str]  # "train.yaml"
    command: ClassVar[str]  # runs it
    beside: ClassVar[str] = ", on the language model"  # where the nearest configuration is trained

    def tuning(self, case: Case) -> Tuned:
        """Choose the keys that say what is trained; without keys the last part says why there are none, if it is known."""
        raise NotImplementedError

    def keys(self, case: Case, tuned: dict) -> dict:
        """All keys of the file."""
        raise NotImplementedError

    def row(self, case: Case) -> str:
        """The code with which data.py writes a row (see rows.py)."""
        return PROMPTED

    def also_lost(self, case: Case) -> tuple[str, ...]:
        """What is always lost, a sentence each."""
        return ()

    @override
    def write(self, case: Case) -> Written:
        reason, losses = self.generates(case)
        tuned, lost, nearest = self.tuning(case)
        if not reason and not tuned:
            titles = " + ".join(m.title for m in case.methods)
            reason = f"{self.title} has no keys for {titles}{nearest and f' here: {nearest}'}."
        if reason:
            return Written(reason=reason)
        losses += lost + self.also_lost(case) + case.beyond
        files = {self.file: as_yaml(self.keys(case, tuned)), **self.other_files(case)}
        files["data.py"] = rows_script(case, self.row(case))
        nearest = nearest or f"{case.instead}{self.beside}"
        return Written(files, f"python data.py && {self.command}", losses, nearest if losses else "")

    def other_files(self, case: Case) -> dict[str, str]:
        """What the YAML file refers to, besides the rows."""
        return {}

    def one_rank(self, low_rank: LowRank, case: Case) -> tuple[int, tuple[str, ...], str]:
        """(rank, losses, what is trained instead) where all modules get the same."""
        if low_rank.uniform:
            return low_rank.rank, (), ""
        rank = low_rank.nearest_rank(case)
        loss = f"The modules' own ranks are lost: {self.title} gives all of them rank {rank}."
        return rank, (loss,), f"LoRA of rank {rank} in the same modules"


def as_yaml(keys: dict) -> str:
    """The text of a YAML file, keys in their order."""
    return yaml.safe_dump(keys, sort_keys=False, width=110)


def language_head(case: Case) -> tuple[str, ...]:
    """What full fine-tuning of the whole language model does besides, where a classifier was studied."""
    return (
        () if case.generates else ("The language model's own head is trained as well, where it is not the embedding.",)
    )


def trainer_arguments(case: Case) -> dict:
    """The keys of transformers' TrainingArguments, which the toolkits that are built on its Trainer take as they are."""
    return {
        "learning_rate": case.learning_rate,
        "lr_scheduler_type": "linear",
        "warmup_steps": case.warmup_steps,
        "weight_decay": WEIGHT_DECAY,
        "max_grad_norm": CLIP,
        "max_steps": case.steps,
        "per_device_train_batch_size": case.spec["batch_size"],
        "gradient_accumulation_steps": 1,
        "seed": case.spec["seed"],
        "bf16": case.precision == "bf16",
        "output_dir": "adapter",
    }
