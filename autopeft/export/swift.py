"""ms-swift: a YAML file for `swift sft`, which trains classifiers too."""

from collections.abc import Iterable

from typing_extensions import override

from autopeft.backbone.shapes import Bias, Norm
from autopeft.export.mechanisms.low_rank import LowRank
from autopeft.export.mechanisms.rows import FILES
from autopeft.export.mechanisms.toolkit import Case
from autopeft.export.mechanisms.training import stopping, trainer_arguments, weights_format
from autopeft.export.mechanisms.yaml_file import Tuned, YamlToolkit

INITS = (True, "pissa", "olora", "mica", "orthogonal")  # those that the peft it pins has
NAMED = ("llama", "mistral", "phi3", "qwen2", "qwen3")  # several of its model types have their architecture
# Their configs call the width by another name than hidden_size, and ms-swift's loader then sets it to None.
RENAMED = (
    *("codegen", "ctrl", "dbrx", "distilbert", "flaubert", "funnel", "gpt-sw3", "gpt2", "gpt_bigcode"),
    *("gptj", "mpt", "openai-gpt", "xglm", "xlm", "xlnet"),
)
LABELLED = '{"messages": [{"role": "user", "content": prompt}], "label": label}'
ANSWERED = '{"messages": [{"role": "user", "content": prompt}, {"role": "assistant", "content": completion}]}'


class Swift(YamlToolkit):
    """ms-swift, for language models and classifiers, heads included."""

    name = "swift"
    title = "ms-swift"
    what = "sft.yaml for `swift sft`, on the study's own classifier: LoRA's family of one rank; any whole layers, norms, biases"
    needs = "ms-swift 4.6.0"

    file = "sft.yaml"
    command = "swift sft sft.yaml"
    beside = ""

    @override
    def generates(self, case: Case) -> tuple[str, tuple[str, ...]]:
        """It trains classifiers too, encoders included."""
        if case.shapes.model_type in RENAMED:
            return f"ms-swift cannot load {case.shapes.model_type} models: its loader loses their width.", ()
        return ("", ()) if case.classifies else super().generates(case)

    @override
    def tuning(self, case: Case) -> Tuned:
        if low_rank := LowRank.of(case):
            return self.lora(case, low_rank) if low_rank.init in INITS else ({}, (), "")
        if (prefixes := whole(case)) is None:
            return {}, (), ""
        if case.generates and case.configuration.method == "full" and 0 in case.configuration.layers:
            return {"tuner_type": "full"}, (), ""
        head = [f"{path}." for path in case.shapes.head_modules] if case.classifies else []
        trained = [*prefixes, *head]
        # Everything is frozen first; what is named is then unfrozen.
        return {"tuner_type": "full", "freeze_parameters_ratio": 1.0, "trainable_parameters": trained}, (), ""

    @override
    def keys(self, case: Case, tuned: dict) -> dict:
        return {"model": self.model(case), **training(case), **tuned}

    @override
    def row(self, case: Case) -> str:
        return LABELLED if case.classifies else ANSWERED

    @override
    def also_lost(self, case: Case) -> tuple[str, ...]:
        return head_losses(case)

    def lora(self, case: Case, low_rank: LowRank) -> Tuned:
        """One rank for all modules, which are named in full."""
        if not low_rank.uniform and low_rank.init is not True:
            return {}, (), ""
        rank, losses, nearest = self.one_rank(low_rank, case)
        keys = {
            "tuner_type": "lora",
            "lora_rank": rank,
            "lora_alpha": low_rank.alpha,
            "lora_dropout": 0.0,
            "target_modules": list(low_rank.targets),
            "use_rslora": low_rank.rslora,
            "use_dora": low_rank.dora,
            "init_weights": "true" if low_rank.init is True else low_rank.init,
        }
        head = {"modules_to_save": list(case.shapes.head_modules)} if case.classifies else {}
        return keys | head, losses, nearest


def whole(case: Case) -> list[str] | None:
    """Beginnings of the names of the parameters of the backbone that are trained as they are; None: it is adapted."""
    shapes, layers, method = case.shapes, case.configuration.layers, case.configuration.method
    if method == "head_only" and case.classifies:
        return []
    if method == "full" and 0 in layers:
        return [f"{shapes.blocks_path.partition('.')[0]}."]
    if method in ("full", "full_layers"):
        return [f"{shapes.blocks_path}.{layer}." for layer in layers]
    if method == "ln_tuning":
        return of_layers(shapes.norms, layers, ".")
    return of_layers(shapes.biases, layers, ".bias") if method == "bitfit" else None


def of_layers(parts: Iterable[Norm | Bias], layers: tuple[int, ...], end: str) -> list[str]:
    """The names of these layers' parts, each with an end."""
    return [x.path + end for x in parts if x.layer in layers]


def head_losses(case: Case) -> tuple[str, ...]:
    """Its one learning rate, and its own start, are also the head's."""
    if not case.classifies:
        return ()
    losses = []
    if case.head_learning_rate != case.learning_rate:
        asked, given = f"{case.head_learning_rate:g}", f"{case.learning_rate:g}"
        losses.append(f"The task head's learning rate of {asked} is lost: ms-swift trains all at {given}.")
    if case.spec.get("verbalisers"):
        losses.append("The task head does not start at the language model's rows of the classes' words.")
    return tuple(losses)


def training(case: Case) -> dict:
    """The keys that say how."""
    classifier = {
        "task_type": "seq_cls",
        "num_labels": len(case.labels),
        "problem_type": "single_label_classification",
    }
    return {
        **({"model_type": case.shapes.model_type} if case.shapes.model_type in NAMED else {}),
        "template": "dummy",  # the text between the tokenizer's own first and last tokens
        **(classifier if case.classifies else {}),
        "torch_dtype": weights_format(case),
        "fp16": False,  # it would take it for fp32 weights
        "dataset": [FILES["train"]],
        **({"val_dataset": [FILES["validation"]]} if case.evaluation_interval else {}),
        "split_dataset_ratio": 0.0,
        "max_length": case.spec["max_length"],
        "truncation_strategy": "right",
        **trainer_arguments(case),
        **stopping(case, "early_stop_interval"),
        "group_by_length": True,  # as in the search, rows of similar length make a batch
        "report_to": ["none"],
    }
