"""Cases to export: any configuration on a tiny model, which can be saved with a tokenizer and rows as a real study has."""

import csv
from functools import cache
from pathlib import Path

from tiny import VOCABULARY, tiny_config

from autopeft.backbone.shapes import BackboneShapes
from autopeft.configuration import Configuration
from autopeft.counting import configuration_of
from autopeft.export import Case
from autopeft.study.spec import StudySpec
from autopeft.tasks.kind import get_kind

LABELS = ("bad", "good", "odd")
WORDS = [f"w{number}" for number in range(4, VOCABULARY)]


@cache
def tiny_shapes(model_type: str, kind: str = "classification") -> BackboneShapes:
    import torch
    import transformers

    from autopeft.backbone.blocks import describe

    with torch.device("meta"):
        model = getattr(transformers, get_kind(kind).auto_model).from_config(tiny_config(model_type))
    return describe(model, model_type, get_kind(kind))


def case_of(configuration: Configuration, model_type: str = "llama", **spec) -> Case:
    """A case of a study with these options; the rest of the study is the default."""
    given = StudySpec(**{"model": model_type, "data": "rows.csv", "full_steps": 20, "batch_size": 4, **spec})
    task = {"name": "rows.csv", "classes": list(LABELS), "metric": "accuracy", "train": 24, "validation": 6, "test": 6}
    precision = {"precision": {"format": "fp32", "attention": "eager", "seconds_per_step": {}}}
    shapes = tiny_shapes(model_type, given.task or "classification")
    return Case("trial 3", configuration, shapes, given.model_dump(), task, precision, "runs/x")


def case(method: str, settings: dict | None = None, model_type: str = "llama", **spec) -> Case:
    """The same from a method's defaults and some settings: {"rank": 4, "layers": "1-2"}."""
    built = configuration_of(method, dict(settings or {}), tiny_shapes(model_type).num_layers)
    return case_of(built, model_type, **spec)


def save_toy(folder: Path, model_type: str = "llama", causal: bool = True) -> dict:
    """A tiny random checkpoint, its tokenizer and rows.csv in a folder; the options of a study on them."""
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

    kind = AutoModelForCausalLM if causal else AutoModelForSequenceClassification
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        kind.from_config(tiny_config(model_type)).save_pretrained(folder / "model")
    tokenizer().save_pretrained(folder / "model")
    with open(folder / "rows.csv", "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["text", "label"])
        for number in range(60):
            table.writerow([" ".join(WORDS[number : number + 6]), LABELS[number % 3]])
    return {"model": str(folder / "model"), "data": str(folder / "rows.csv")}


def tokenizer():
    """A word-level tokenizer of the tiny models' vocabulary."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    known = {"<unk>": 0, "<pad>": 1, "<s>": 2, "</s>": 3} | {word: number for number, word in enumerate(WORDS[:-3], 4)}
    known |= dict(zip(LABELS, (97, 98, 99)))
    made = Tokenizer(models.WordLevel(known, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=made, unk_token="<unk>", pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    )
