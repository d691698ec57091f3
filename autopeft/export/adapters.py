"""AdapterHub's adapters: a config of its own, and the script that trains it."""

import json
import math
from typing import Any

from typing_extensions import override

from autopeft.backbone.shapes import expand_roles
from autopeft.export.mechanisms.adapters_scripts import tokens_script, train_script
from autopeft.export.mechanisms.low_rank import LowRank
from autopeft.export.mechanisms.toolkit import Case, Toolkit, Written

FAMILIES = ("bert", "roberta", "distilbert", "llama")  # those in which its modules were compared with autopeft's
NORM_FIRST = ("llama",)  # the norm stands before attention and FFN
ATTENTION = {"query": "q", "key": "k", "value": "v"}
BOTTLENECK = {
    "init_weights": "mam_adapter",  # the second linear starts at zero, as ours does
    "ln_before": False,
    "ln_after": False,
    "adapter_residual_before_ln": False,
    "scaling": 1.0,
    "dropout": 0.0,
}
DORA = (
    "Its DoRA differs: the magnitude scales the bias too, the norm leaves out alpha / rank, and gradients run through it.",
)
PLACES = {  # our placement -> theirs, as the keys of its own SeqBnConfig and DoubleSeqBnConfig
    "pfeiffer": {
        "mh_adapter": False,
        "output_adapter": True,
        "original_ln_before": True,
        "original_ln_after": True,
        "residual_before_ln": True,
    },
    "houlsby": {
        "mh_adapter": True,
        "output_adapter": True,
        "original_ln_before": False,
        "original_ln_after": True,
        "residual_before_ln": True,
    },
}


class Adapters(Toolkit):
    """AdapterHub's adapters, for classifiers only: their modules were compared with autopeft's own."""

    name = "adapters"
    title = "AdapterHub's adapters"
    what = "adapter.json and a script with its AdapterTrainer: serial and parallel adapters, LoRA, DoRA, (IA)^3 of keys and values"
    needs = "adapters 1.3.0"

    @override
    def write(self, case: Case) -> Written:
        if reason := unfit(case):
            return Written(reason=reason)
        keys, losses = translated(case)
        if keys is None:
            return Written(reason=f"adapters has nothing equal to {case.configuration}.")
        losses += case.beyond
        if case.spec.get("verbalisers"):
            losses += ("The task head does not start at the language model's rows of the classes' words.",)
        keys["leave_out"] = [i for i in range(case.shapes.num_layers) if i not in case.configuration.layers]
        files = {
            "adapter.json": json.dumps(keys, indent=2) + "\n",
            "train.py": train_script(case),
            "data.py": tokens_script(case),
        }
        nearest = f"{case.configuration.method} with the same parameters" if losses else ""
        return Written(files, "python data.py && python train.py", losses, nearest)


def unfit(case: Case) -> str:
    """Why adapters cannot train this model or task; empty if it can."""
    family = case.shapes.model_type
    if not case.classifies:
        return "adapters is pinned to transformers 4.57, and autopeft exports classifiers to it only."
    if family not in FAMILIES:
        return f"In adapters autopeft has compared {', '.join(FAMILIES)} only, and {case.spec['model']} is of {family}."
    return ""


def translated(case: Case) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
    """(its config without the layers, losses); None where it has nothing of the same parameters."""
    method = case.configuration.method
    settings: dict[str, Any] = dict(case.configuration.settings_of(method))
    if method == "lora":
        return low_rank(case, settings), ()
    if method == "dora":
        return low_rank(case, settings), DORA
    if method == "ia3":
        return key_value_scales(settings), ()
    if method == "serial_adapter":
        place, activation = str(settings["placement"]), case.fields["activation"]
        return bottleneck(case, settings, {**PLACES[place], "non_linearity": activation}), ()
    if method == "parallel_adapter":
        return parallel(case, settings)
    return None, ()


def low_rank(case: Case, settings: dict) -> dict | None:
    """LoRA in query, key, value and the two linears of the FFN; not in the attention's output, nor in a gate."""
    held, roles = LowRank.of(case), set(expand_roles(settings["target_modules"])) & set(case.shapes.roles)
    if held is None or roles - {*ATTENTION, "ffn_in", "ffn_out"}:
        return None
    return {
        "architecture": "lora",
        "selfattn_lora": bool(roles & set(ATTENTION)),
        "intermediate_lora": "ffn_in" in roles,
        "output_lora": "ffn_out" in roles,
        "attn_matrices": [letter for role, letter in ATTENTION.items() if role in roles],
        "r": held.rank,
        # It divides by the rank in any case: rank-stabilised scaling is another alpha.
        "alpha": held.alpha * math.sqrt(held.rank) if held.rslora else held.alpha,
        "dropout": 0.0,
        "init_weights": "lora",
        "composition_mode": "add",
        "use_dora": held.dora,
    }


def key_value_scales(settings: dict) -> dict | None:
    """(IA)^3 of keys and values; in the FFN it rescales before the activation and the paper after it."""
    if set(expand_roles(settings["target_modules"])) != {"key", "value"}:
        return None
    return {
        "architecture": "lora",
        "selfattn_lora": True,
        "intermediate_lora": False,
        "output_lora": False,
        "attn_matrices": ["k", "v"],
        "r": 1,
        "alpha": 1,
        "dropout": 0.0,
        "init_weights": "ia3",
        "composition_mode": "scale",
    }


def bottleneck(case: Case, settings: dict, keys: dict) -> dict:
    """It takes the width divided by a factor, and rounds down."""
    width, size = case.shapes.hidden_size, settings["bottleneck"]
    factor = width / size
    return {**BOTTLENECK, "reduction_factor": factor if width // factor == size else width / (size + 0.5), **keys}


def parallel(case: Case, settings: dict) -> tuple[dict, tuple[str, ...]]:
    """Where a norm stands before the FFN, its adapter reads what is before the norm."""
    places = {"mh_adapter": False, "output_adapter": True, "original_ln_before": False, "original_ln_after": True}
    keys = {"is_parallel": True, "scaling": settings["scaling"], "non_linearity": "relu", **places}
    family = case.shapes.model_type
    moved = f"In {family} its parallel adapter reads the FFN's input before the norm, autopeft's after it."
    return bottleneck(case, settings, keys), (moved,) if family in NORM_FIRST else ()
