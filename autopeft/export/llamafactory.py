"""LLaMA-Factory: a YAML file for `llamafactory-cli train`, and the description of its rows."""

import json

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.export.mechanisms.low_rank import LowRank
from autopeft.export.mechanisms.rows import FILES
from autopeft.export.mechanisms.toolkit import Case
from autopeft.export.mechanisms.training import BY_LENGTH, stopping, trainer_arguments
from autopeft.export.mechanisms.yaml_file import Tuned, YamlToolkit, language_head

DATA, VALIDATION = "study", "study_validation"  # the names of the rows in dataset_info.json

ENCLOSED = '{"prompt": begin + prompt, "completion": completion + end}'  # the empty template adds no token


class LlamaFactory(YamlToolkit):
    """LLaMA-Factory, for language models only; modules are named in full."""

    name = "llamafactory"
    title = "LLaMA-Factory"
    what = (
        "train.yaml for `llamafactory-cli train`: LoRA, rsLoRA, DoRA, PiSSA, OFT, and whole layers or norms at an end"
    )
    needs = "llamafactory 0.9.5"

    file = "train.yaml"
    command = "llamafactory-cli train train.yaml"

    @override
    def row(self, case: Case) -> str:
        return ENCLOSED

    @override
    def tuning(self, case: Case) -> Tuned:
        kind = case.fields["peft_type"]
        if kind == "LORA":
            return self.lora(case)
        if kind == "OFT":
            return oft(case)
        if case.configuration.method in ("full", "full_layers"):
            return whole_layers(case)
        return norms(case) if kind == "LN_TUNING" else ({}, (), "")

    @override
    def keys(self, case: Case, tuned: dict) -> dict:
        return {"model_name_or_path": self.model(case), **training(case), **tuned}

    @override
    def other_files(self, case: Case) -> dict[str, str]:
        return {"dataset_info.json": rows_description(case)}

    def lora(self, case: Case) -> Tuned:
        """One rank for all modules, which it matches by full names; PiSSA's exact decomposition is pissa_iter -1."""
        low_rank = LowRank.of(case)
        if low_rank is None or low_rank.init not in (True, "pissa"):
            return {}, (), ""
        if low_rank.init == "pissa" and not low_rank.uniform:
            return {}, (), "a module is too small for the rank, and each would need its own"
        rank, losses, nearest = self.one_rank(low_rank, case)
        keys = {
            "finetuning_type": "lora",
            "lora_rank": rank,
            "lora_alpha": low_rank.alpha,
            "lora_dropout": 0.0,
            "lora_target": ",".join(low_rank.targets),
            "use_rslora": low_rank.rslora,
            "use_dora": low_rank.dora,
        }
        return keys | ({"pissa_init": True, "pissa_iter": -1} if low_rank.init == "pissa" else {}), losses, nearest


def oft(case: Case) -> Tuned:
    """Its OFT reads lora_target and not oft_target, and wants a rank of 0 beside a block size."""
    target = ",".join(case.fields["target_modules"])
    keys = {
        "finetuning_type": "oft",
        "oft_rank": 0,
        "oft_block_size": case.fields["oft_block_size"],
        "module_dropout": 0.0,
        "lora_target": target,
        "oft_target": target,
    }
    series = "OFT's rotation is not exact: LLaMA-Factory leaves peft's series of five terms switched on."
    return keys, (series,), "OFT with the Cayley-Neumann series, of the same block size in the same modules"


def whole_layers(case: Case) -> Tuned:
    """The first or the last n layers, or everything."""
    layers, shapes = case.configuration.layers, case.shapes
    if case.configuration.method == "full" and 0 in layers:
        return {"finetuning_type": "full"}, language_head(case), "full fine-tuning of the whole language model"
    if (end := at_an_end(layers, shapes)) is None:
        return {}, (), "it trains the first or the last n layers, and these are others"
    return {"finetuning_type": "freeze", "freeze_trainable_layers": end, "freeze_trainable_modules": "all"}, (), ""


def norms(case: Case) -> Tuned:
    """Norms that lie directly in a block, by their names."""
    shapes, end = case.shapes, at_an_end(case.configuration.layers, case.shapes)
    names = {x.path.removeprefix(f"{shapes.blocks_path}.{x.layer}.") for x in shapes.norms}
    if end is None:
        return {}, (), "it trains the first or the last n layers, and these are others"
    if deep := sorted(n for n in names if "." in n):
        return {}, (), f"it names the parts of a layer, and the norm {deep[0]} lies inside one"
    modules = ",".join(sorted(names))
    return {"finetuning_type": "freeze", "freeze_trainable_layers": end, "freeze_trainable_modules": modules}, (), ""


def at_an_end(layers: tuple[int, ...], shapes: BackboneShapes) -> int | None:
    """Layers at an end as one number: n for the last n, -n for the first n; None for any other set, since 0 trains nothing."""
    n = len(layers)
    if n and layers == tuple(range(shapes.num_layers - n, shapes.num_layers)):
        return n
    return -n if n and layers == tuple(range(n)) else None


def training(case: Case) -> dict:
    """The keys that say how. Numbers stay numbers: a rank in quotes passes its parser and fails in peft."""
    return {
        "trust_remote_code": bool(case.spec.get("trust_remote_code")),
        "stage": "sft",
        "do_train": True,
        "dataset_dir": ".",
        "dataset": DATA,
        **({"eval_dataset": VALIDATION} if case.evaluation_interval else {}),
        "template": "empty",
        "cutoff_len": case.spec["max_length"],
        **trainer_arguments(case),
        **stopping(case, "early_stopping_steps"),
        **BY_LENGTH,
        "report_to": "none",
    }


def rows_description(case: Case) -> str:
    """dataset_info.json: where the rows are and what their columns are called."""
    columns = {"columns": {"prompt": "prompt", "response": "completion"}}
    rows = {DATA: {"file_name": FILES["train"], **columns}}
    if case.evaluation_interval:
        rows[VALIDATION] = {"file_name": FILES["validation"], **columns}
    return json.dumps(rows, indent=2) + "\n"
