"""TRL: a YAML file for `trl sft`, or where its keys are too few a script with SFTTrainer."""

import re

from typing_extensions import override

from autopeft.export.mechanisms.low_rank import LowRank
from autopeft.export.mechanisms.rows import SOURCE, rows_script
from autopeft.export.mechanisms.toolkit import Case, Toolkit, Written
from autopeft.export.mechanisms.training import BY_LENGTH, trainer_arguments, training_losses, weights_format
from autopeft.export.mechanisms.yaml_file import as_yaml
from autopeft.export.script import sft_files


class Trl(Toolkit):
    """TRL, for language models only; it takes every peft config."""

    name = "trl"
    title = "TRL"
    what = "sft.yaml for `trl sft`; for what it has no key for, adapter_config.json and a script with SFTTrainer"
    needs = "trl 1.16 and peft 0.21"

    @override
    def write(self, case: Case) -> Written:
        """LoRA, rsLoRA and DoRA of one rank go into the YAML; every other peft config, and an early end, into a script."""
        reason, losses = self.generates(case)
        if not reason and not case.trainable:
            reason = f"{case.methods[0].title} trains the classification head alone, which TRL does not have."
        if reason:
            return Written(reason=reason)
        low_rank = LowRank.of(case)
        in_yaml = low_rank is not None and low_rank.plain and not case.evaluation_interval
        losses += (training_losses(case) if in_yaml else ()) + case.beyond
        nearest = f"{case.instead}, on the language model" if losses else ""
        if low_rank and in_yaml:
            files = {"sft.yaml": as_yaml(case, sft(case, low_rank)), "data.py": rows_script(case)}
            return Written(files, "python data.py && trl sft --config sft.yaml", losses, nearest)
        return Written(sft_files(case), "python data.py && python train.py", losses, nearest)


def sft(case: Case, low_rank: LowRank) -> dict:
    """The keys of `trl sft --config`. Its parser is strict: a key that it does not know is an error."""
    return {
        "model_name_or_path": case.model,
        "dtype": weights_format(case),
        "datasets": [SOURCE],
        "use_peft": True,
        "lora_r": low_rank.rank,
        "lora_alpha": low_rank.alpha,
        "lora_dropout": 0.0,
        "lora_target_modules": targets(low_rank.targets),
        "use_rslora": low_rank.rslora,
        "use_dora": low_rank.dora,
        "max_length": case.spec["max_length"],
        **trainer_arguments(case),
        **BY_LENGTH,
        **({"model_init_kwargs": case.no_dropout} if case.no_dropout else {}),
        "report_to": "none",
    }


def targets(paths: tuple[str, ...]) -> list[str]:
    """Full module names. `trl` unwraps a list of one, which peft then takes for a regular expression: it is one."""
    return [re.escape(paths[0])] if len(paths) == 1 else list(paths)
