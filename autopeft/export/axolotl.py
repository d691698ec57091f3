"""Axolotl: a YAML file for `axolotl train`."""

from collections.abc import Iterable
from typing import Any

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.export.mechanisms.low_rank import LowRank
from autopeft.export.mechanisms.rows import FILES
from autopeft.export.mechanisms.toolkit import Case
from autopeft.export.mechanisms.training import adamw, schedule, stopping
from autopeft.export.mechanisms.yaml_file import Tuned, YamlToolkit

INITS = (True, "pissa", "olora", "mica", "orthogonal")  # those that the peft it pins has


class Axolotl(YamlToolkit):
    """Axolotl silently drops keys that it does not know, so a test holds every key against its schema."""

    name = "axolotl"
    title = "Axolotl"
    what = "axolotl.yaml for `axolotl train`: LoRA with a rank per module, rsLoRA, DoRA, PiSSA; any whole layers, norms, biases"
    needs = "axolotl 0.19.0"

    file = "axolotl.yaml"
    command = "axolotl train axolotl.yaml"
    copies = False  # it has a key

    @override
    def tuning(self, case: Case) -> Tuned:
        return trained(case), (), "" if case.trainable else "no part of a language model is trained"

    @override
    def also_lost(self, case: Case) -> tuple[str, ...]:
        """It loads the model in one format and trains its weights in that."""
        low = case.precision == "bf16" and not LowRank.of(case)
        return ("The trained weights are in bf16, and in fp32 in a search.",) if low else ()

    @override
    def keys(self, case: Case, tuned: dict) -> dict:
        return {**training(case), **tuned}


def trained(case: Case) -> dict:
    """The keys that say what is trained; none if Axolotl cannot."""
    shapes, layers, method = case.shapes, case.configuration.layers, case.configuration.method
    if low_rank := LowRank.of(case):
        return lora(low_rank, shapes) if low_rank.init in INITS else {}
    if method == "full" and 0 in layers and case.generates:
        return {"unfrozen_parameters": []}  # nothing is frozen
    if method == "full" and 0 in layers:  # the language model's own head is not of the classifier's backbone
        return {"unfrozen_parameters": [f"^{shapes.blocks_path.partition('.')[0]}."]}
    if method in ("full", "full_layers"):
        return {"unfrozen_parameters": [f"^{shapes.blocks_path}.({alternatives(layers)})."]}
    if method == "ln_tuning":
        return {"unfrozen_parameters": patterns((x.path for x in shapes.norms if x.layer in layers), shapes, ".")}
    if method == "bitfit":
        return {"unfrozen_parameters": patterns((x.path for x in shapes.biases if x.layer in layers), shapes, ".bias$")}
    return {}


def lora(low_rank: LowRank, shapes: BackboneShapes) -> dict:
    """Names inside a block and the layers, where every name is adapted in every layer; else full names."""
    names, layers = split_by_layer(low_rank.targets, shapes)
    keys = {
        "adapter": "lora",
        "lora_r": low_rank.rank,
        "lora_alpha": low_rank.alpha,
        "lora_dropout": 0.0,
        "lora_target_modules": names if layers else list(low_rank.targets),
        "peft_use_rslora": low_rank.rslora,
        "peft_use_dora": low_rank.dora,
        # Else it switches its own on where there is no dropout, which stops it on GPT-2 and needs a GPU.
        **dict.fromkeys(("lora_mlp_kernel", "lora_qkv_kernel", "lora_o_kernel"), False),
    }
    if layers:  # an empty list would mean all of them
        keys |= {"peft_layers_to_transform": layers, "peft_layers_pattern": [shapes.blocks_path.rpartition(".")[2]]}
    if low_rank.init is not True:
        keys["peft_init_lora_weights"] = low_rank.init
    if low_rank.ranks:
        keys["lora_rank_pattern"] = dict(low_rank.ranks)
    if low_rank.alphas:
        keys["lora_alpha_pattern"] = dict(low_rank.alphas)
    return keys


def split_by_layer(paths: Iterable[str], shapes: BackboneShapes) -> tuple[list[str], list[int]]:
    """Paths inside the blocks -> (names inside a block, layers) of which they are the product, else ([], [])."""
    places = {path.removeprefix(f"{shapes.blocks_path}.").partition(".")[::2] for path in paths}
    names, layers = sorted({name for _, name in places}), sorted({int(layer) for layer, _ in places})
    return (names, layers) if len(places) == len(names) * len(layers) else ([], [])


def patterns(paths: Iterable[str], shapes: BackboneShapes, end: str) -> list[str]:
    """Regular expressions for the start of a parameter's name, one for all layers where they are alike.

    Axolotl escapes the dots itself, and takes brackets at the end for a range of rows: neither is written.
    """
    paths = list(paths)
    names, layers = split_by_layer(paths, shapes)
    if not layers:
        return [f"^{path}{end}" for path in paths]
    return [f"^{shapes.blocks_path}.({alternatives(layers)}).({alternatives(names)}){end}"]


def alternatives(values: Iterable[object]) -> str:
    """Join regular expressions into one that matches any of them."""
    return "|".join(map(str, values))


def training(case: Case) -> dict:
    """The keys that say how."""
    spec = case.spec
    return {
        "base_model": case.model,
        **({"overrides_of_model_config": case.no_dropout} if case.no_dropout else {}),
        "trust_remote_code": bool(spec.get("trust_remote_code")),
        "datasets": [{"path": FILES["train"], **rows()}],
        "sequence_len": spec["max_length"],
        "sample_packing": False,
        "train_on_inputs": False,
        "learning_rate": case.learning_rate,
        "optimizer": "adamw_torch",
        **adamw(),
        "lr_scheduler": "linear",
        **schedule(case.steps),
        "group_by_length": True,
        "dataloader_drop_last": False,  # by default the last batch of an epoch is dropped if it is not full
        "micro_batch_size": spec["batch_size"],
        "gradient_accumulation_steps": 1,
        "seed": spec["seed"],
        "bf16": case.precision == "bf16",
        **early_end(case),
        "output_dir": "adapter",
    }


def early_end(case: Case) -> dict[str, Any]:
    """The keys by which a run ends early and its best evaluation counts; it compares the loss."""
    every = case.evaluation_interval
    if every is None:
        return {}
    return {
        "test_datasets": [{"path": FILES["validation"], "split": "train", **rows()}],  # all there is in the file
        "eval_steps": every,
        "save_steps": every,
        "save_total_limit": 2,
        "load_best_model_at_end": True,
        **stopping(case, "early_stopping_patience"),
    }


def rows() -> dict[str, Any]:
    """How a file of rows is read."""
    return {"ds_type": "json", "type": prompt_and_completion()}


def prompt_and_completion() -> dict:
    """The text as it is, and the loss on what follows it."""
    text = "{instruction}"
    return {"field_instruction": "prompt", "field_output": "completion", "format": text, "no_input_format": text}
