"""In TRL's environment: what its own code trains, or what its own command saved, as JSON of names and shapes.

parse FOLDER: the strict parser and the peft config that it makes, on the model. run FOLDER: `trl sft` of two steps.
train FOLDER: all of `trl sft`. script FOLDER: train.py of two steps. rows FOLDER: the tokens and labels that it makes of the rows. site: where its
packages lie.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

what, folder = sys.argv[1], Path(sys.argv[-1])
if what == "site":
    import sysconfig

    found = sysconfig.get_path("purelib")
elif what in ("parse", "rows"):
    from peft import get_peft_model
    from transformers import AutoModelForCausalLM
    from trl import (
        DatasetMixtureConfig,
        ModelConfig,
        ScriptArguments,
        SFTConfig,
        SFTTrainer,
        TrlParser,
        get_dataset,
        get_peft_config,
    )

    os.chdir(folder)
    parser = TrlParser((ScriptArguments, SFTConfig, ModelConfig, DatasetMixtureConfig))
    _, training, asked, data = parser.parse_args_and_config(["--config", "sft.yaml", "--use_cpu", "True"])
    if what == "rows":
        rows = get_dataset(data)["train"]
        trainer = SFTTrainer(asked.model_name_or_path, training, train_dataset=rows, peft_config=get_peft_config(asked))
        made = [trainer.data_collator([row]) for row in trainer.train_dataset]
        found = [{name: row[name][0].tolist() for name in ("input_ids", "labels")} for row in made]
    else:
        model = get_peft_model(AutoModelForCausalLM.from_pretrained(asked.model_name_or_path), get_peft_config(asked))
        found = {name: list(p.shape) for name, p in model.named_parameters() if p.requires_grad}
else:
    from safetensors.torch import load_file

    sft = [Path(sys.executable).parent / "trl", "sft", "--config", "sft.yaml", "--max_steps", "2", "--use_cpu", "True"]
    command = {"run": sft, "train": sft[:4], "script": [sys.executable, "train.py", "--steps", "2"]}[what]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    found = {n: list(t.shape) for n, t in load_file(folder / "adapter" / "adapter_model.safetensors").items()}
print(json.dumps(found))
