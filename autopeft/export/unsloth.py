"""Unsloth: a YAML file for `unsloth train`. Imports no torch."""

from autopeft.export.low_rank import LowRank
from autopeft.export.rows import FILES, rows_script
from autopeft.export.script import WARMUP
from autopeft.export.toolkit import Case, Toolkit, Written
from autopeft.export.trl import as_yaml

TEXT = '{"text": text + " " + word}'


class Unsloth(Toolkit):
    name = "unsloth"
    title = "Unsloth"
    what = "unsloth.yaml for `unsloth train`: LoRA, rsLoRA and DoRA of one rank, and full fine-tuning"
    needs = "unsloth 2026.10.9 and a GPU"

    def write(self, case: Case) -> Written:
        reason, losses = self.generates(case)
        tuned, lost, nearest = tuning(case)
        if not reason and not tuned:
            titles = " + ".join(m.title for m in case.methods)
            reason = f"Unsloth's file has no keys for {titles}{nearest and f' here: {nearest}'}."
        if reason:
            return Written(reason=reason)
        losses += lost + case.beyond
        if case.classifies:
            losses += ("The loss is over the whole text and not over the class's word alone.",)
        nearest = nearest or f"{case.configuration.method} with the same parameters, on the language model"
        files = {"unsloth.yaml": as_yaml(sections(case, tuned))}
        files |= {"data.py": rows_script(case, TEXT)} if case.classifies else {}
        prepare = "python data.py && " if case.classifies else ""
        return Written(files, f"{prepare}unsloth train -c unsloth.yaml", losses, nearest if losses else "")


def tuning(case: Case) -> tuple[dict, tuple[str, ...], str]:
    """(training_type and the lora section, losses, what is trained instead); without keys the last says why not."""
    method, layers = case.configuration.method, case.configuration.layers
    if method == "full":
        if 0 not in layers:
            return {}, (), "it trains all layers, and these are some"
        head = ("The language model's own head is trained as well, where it is not the embedding.",)
        return {"training_type": "full"}, head, "full fine-tuning of the whole language model"
    low_rank = LowRank.of(case)
    if low_rank is None or low_rank.init is not True:
        return {}, (), ""
    losses, nearest, rank = (), "", low_rank.rank
    if not low_rank.uniform:
        rank = low_rank.nearest_rank(case)
        losses = (f"The modules' own ranks are lost: Unsloth gives all of them rank {rank}.",)
        nearest = f"LoRA of rank {rank} in the same modules"
    lora = {
        "lora_r": rank,
        "lora_alpha": low_rank.alpha,
        "lora_dropout": 0.0,
        "target_modules": ",".join(low_rank.targets),  # text, not a list; full names are the only way to name layers
        "use_rslora": low_rank.rslora,
        "use_dora": low_rank.dora,
    }
    return {"training_type": "lora", "lora": lora}, losses, nearest


def sections(case: Case, tuned: dict) -> dict:
    """The whole file. Its parser forbids keys that it does not know."""
    spec = case.spec
    lora = {"lora": tuned["lora"]} if "lora" in tuned else {}
    return {
        "model": case.model,
        "data": {
            "local_dataset": [FILES["train"] if case.classifies else case.data],
            "format_type": "auto" if case.kind == "instruction" else "raw",  # no chat template around a text
        },
        "training": {
            "training_type": tuned["training_type"],
            "load_in_4bit": False,
            "max_seq_length": spec["max_length"],
            "learning_rate": case.learning_rate,
            "warmup_steps": max(1, round(WARMUP * case.steps)),
            "weight_decay": 0.0,
            "max_steps": case.steps,
            "batch_size": spec["batch_size"],
            "gradient_accumulation_steps": 1,
            "packing": False,
            "gradient_checkpointing": "none",
            "random_seed": spec["seed"],
            "output_dir": "adapter",
        },
        **lora,
    }
