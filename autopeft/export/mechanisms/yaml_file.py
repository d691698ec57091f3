"""Toolkits that are configured by one YAML file, with the rows of the study beside it."""

from typing import ClassVar

import yaml
from typing_extensions import override

from autopeft.export.mechanisms.low_rank import LowRank
from autopeft.export.mechanisms.rows import COPY, PROMPTED, copied_model, rows_script
from autopeft.export.mechanisms.toolkit import Case, Toolkit, Written
from autopeft.export.mechanisms.training import length, schedule, training_losses

Tuned = tuple[dict, tuple[str, ...], str]  # keys that say what is trained, losses, what is trained instead


class YamlToolkit(Toolkit):
    """A toolkit with one YAML file. A subclass says what its keys are, and what they cannot hold."""

    file: ClassVar[str]  # "train.yaml"
    command: ClassVar[str]  # runs it
    beside: ClassVar[str] = ", on the language model"  # where the nearest configuration is trained
    copies: ClassVar[bool] = True  # it has no key for the model's dropout: data.py copies a model that has any

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
        losses += lost + self.also_lost(case) + training_losses(case) + case.beyond
        files = {self.file: as_yaml(case, self.keys(case, tuned)), **self.other_files(case)}
        files["data.py"] = rows_script(case, self.row(case)) + (copied_model(case) if self.copied(case) else "")
        nearest = nearest or f"{case.instead}{self.beside}"
        return Written(files, f"python data.py && {self.command}", losses, nearest if losses else "")

    def copied(self, case: Case) -> bool:
        """Whether the model is a copy without dropout, which data.py makes."""
        return self.copies and bool(case.no_dropout)

    def model(self, case: Case) -> str:
        """The checkpoint that is trained."""
        return COPY if self.copied(case) else case.model

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


def as_yaml(case: Case, keys: dict) -> str:
    """The text of a YAML file, keys in their order."""
    idle = (
        ", the first of them idle, for the schedule begins at a rate of 0"
        if schedule(case.steps)["warmup_steps"]
        else ""
    )
    asked = schedule(case.steps)["max_steps"]
    head = f"# {asked} steps{idle}: as much learning rate in all as autopeft's {case.steps}.\n"
    head += f"# The study's own runs: {length(case)}.\n"
    return head + yaml.safe_dump(keys, sort_keys=False, width=110)


def language_head(case: Case) -> tuple[str, ...]:
    """What full fine-tuning of the whole language model does besides, where a classifier was studied."""
    return (
        () if case.generates else ("The language model's own head is trained as well, where it is not the embedding.",)
    )
