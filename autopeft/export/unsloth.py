"""Unsloth: a YAML file for `unsloth train`."""

from typing_extensions import override

from autopeft.base.recipe import WEIGHT_DECAY
from autopeft.export.mechanisms.low_rank import LowRank
from autopeft.export.mechanisms.rows import FILES
from autopeft.export.mechanisms.toolkit import Case
from autopeft.export.mechanisms.training import no_early_end, schedule
from autopeft.export.mechanisms.yaml_file import Tuned, YamlToolkit, language_head

OPTIMISER = "AdamW keeps its moments in 8 bits: Unsloth's command has no key for the optimiser."
TEXT = '{"text": prompt + completion}'


class Unsloth(YamlToolkit):
    """Unsloth, for language models only; it needs a GPU."""

    name = "unsloth"
    title = "Unsloth"
    what = "unsloth.yaml for `unsloth train`: LoRA, rsLoRA and DoRA of one rank, and full fine-tuning"
    needs = "unsloth 2026.10.9 and a GPU"

    file = "unsloth.yaml"
    command = "unsloth train -c unsloth.yaml"

    @override
    def tuning(self, case: Case) -> Tuned:
        """training_type and the lora section."""
        method, layers = case.configuration.method, case.configuration.layers
        if method == "full":
            if 0 not in layers:
                return {}, (), "it trains all layers, and these are some"
            return {"training_type": "full"}, language_head(case), "full fine-tuning of the whole language model"
        low_rank = LowRank.of(case)
        if low_rank is None or low_rank.init is not True:
            return {}, (), ""
        rank, losses, nearest = self.one_rank(low_rank, case)
        lora = {
            "lora_r": rank,
            "lora_alpha": low_rank.alpha,
            "lora_dropout": 0.0,
            "target_modules": ",".join(
                low_rank.targets
            ),  # text, not a list; full names are the only way to name layers
            "use_rslora": low_rank.rslora,
            "use_dora": low_rank.dora,
        }
        return {"training_type": "lora", "lora": lora}, losses, nearest

    @override
    def keys(self, case: Case, tuned: dict) -> dict:
        return {"model": self.model(case), **sections(case, tuned)}

    @override
    def row(self, case: Case) -> str:
        return TEXT

    @override
    def also_lost(self, case: Case) -> tuple[str, ...]:
        lost = (OPTIMISER, *no_early_end(case, self.title))
        if case.kind.name == "causal-lm":
            return lost
        answer = "the class's word" if case.classifies else "the response"
        return (*lost, f"The loss is over the whole text and not over {answer} alone.")


def sections(case: Case, tuned: dict) -> dict:
    """The whole file. Its parser forbids keys that it does not know."""
    spec = case.spec
    lora = {"lora": tuned["lora"]} if "lora" in tuned else {}
    return {
        "data": {
            "local_dataset": [FILES["train"]],
            "format_type": "raw",  # the chat template is in the text already
        },
        "training": {
            "training_type": tuned["training_type"],
            "load_in_4bit": False,
            "max_seq_length": spec["max_length"],
            "learning_rate": case.learning_rate,
            **schedule(case.steps),
            "weight_decay": WEIGHT_DECAY,
            "batch_size": spec["batch_size"],
            "gradient_accumulation_steps": 1,
            "packing": False,
            "gradient_checkpointing": "none",
            "random_seed": spec["seed"],
            "output_dir": "adapter",
        },
        **lora,
    }
