"""In LLaMA-Factory's environment: what its own code trains, as JSON of names and shapes.

adapter FOLDER: its parser and its adapters, on the model. run FOLDER: its whole training of two steps; what it saved.
train FOLDER: all of its training.
rows FOLDER: the tokens and labels that it makes of the rows.
"""

import importlib.util
import json
import os
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import yaml

what, folder = sys.argv[1], Path(sys.argv[2])
os.chdir(folder)
keys = yaml.safe_load(Path("train.yaml").read_text())
if what != "train":
    keys |= {"use_cpu": True, "max_steps": 2}
if what == "adapter":
    from llamafactory.hparams import get_train_args
    from llamafactory.model.adapter import init_adapter
    from transformers import AutoConfig, AutoModelForCausalLM

    asked, _, _, tuning, _ = get_train_args(keys)
    config = AutoConfig.from_pretrained(asked.model_name_or_path)
    model = AutoModelForCausalLM.from_pretrained(asked.model_name_or_path)
    model = init_adapter(config, model, asked, tuning, is_trainable=True)
    found = {name: list(p.shape) for name, p in model.named_parameters() if p.requires_grad}
else:
    # Its data module imports torchaudio whatever the data are, and PyPI's does not load beside a CPU build of torch.
    sys.modules["torchaudio"] = importlib.util.module_from_spec(ModuleSpec("torchaudio", None))
    if what == "rows":
        from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
        from llamafactory.hparams import get_train_args
        from llamafactory.model import load_tokenizer

        model, data, training, _, _ = get_train_args(keys)
        tokenizer = load_tokenizer(model)
        template = get_template_and_fix_tokenizer(tokenizer["tokenizer"], data)
        rows = get_dataset(template, model, data, training, stage="sft", **tokenizer)["train_dataset"]
        found = [{name: row[name] for name in ("input_ids", "labels")} for row in rows]
    else:
        from llamafactory.train.tuner import run_exp
        from safetensors.torch import load_file

        run_exp(keys)
        (weights,) = Path("adapter").glob("*.safetensors")
        found = {n: list(t.shape) for n, t in load_file(weights).items()}
print(json.dumps(found))
