"""The exported train.py in adapters' environment. run FOLDER: all of it; the files that it saved.
train FOLDER: all of it; the mean loss on train.jsonl.

MODEL FOLDER ...: its model; folder's name -> trained: {name: shape}, and logits: of the inputs in values.safetensors, if
it is there, once the trained parameters have the values there.
"""

import importlib.util
import json
import os
import sys
from pathlib import Path

import torch
from adapters import AdapterConfig
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification


def script(folder: Path):
    spec = importlib.util.spec_from_file_location("train", folder / "train.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@torch.no_grad()
def adapted(model: str, folder: Path) -> dict:
    asked = json.loads((folder / "adapter.json").read_text())
    unknown = set(asked) - set(AdapterConfig.load(dict(asked)).__dataclass_fields__) - {"architecture"}
    assert not unknown, unknown  # it keeps any key and reads those it knows
    built = script(folder).adapted(AutoModelForSequenceClassification.from_pretrained(model)).eval()
    trained = {name: p for name, p in built.named_parameters() if p.requires_grad}
    if not (folder / "values.safetensors").exists():
        return {"trained": {name: list(p.shape) for name, p in trained.items()}}
    values = load_file(folder / "values.safetensors")
    for name, parameter in trained.items():
        parameter.copy_(values[name].view_as(parameter))
    logits = built(input_ids=values["input_ids"], attention_mask=values["attention_mask"]).logits
    return {"trained": {name: list(p.shape) for name, p in trained.items()}, "logits": logits.tolist()}


@torch.no_grad()
def final_loss(model) -> float:
    rows = [json.loads(line) for line in Path("train.jsonl").read_text().splitlines()]
    logits = [model.eval()(input_ids=torch.tensor([row["input_ids"]])).logits for row in rows]
    targets = torch.tensor([row["labels"] for row in rows])
    return torch.nn.functional.cross_entropy(torch.cat(logits), targets).item()


if sys.argv[1] == "run":
    os.chdir(sys.argv[2])
    script(Path.cwd()).main()
    print(json.dumps(sorted(os.listdir("adapter"))))
elif sys.argv[1] == "train":
    os.chdir(sys.argv[2])
    print(json.dumps(final_loss(script(Path.cwd()).main())))
else:
    print(json.dumps({Path(folder).name: adapted(sys.argv[1], Path(folder)) for folder in sys.argv[2:]}))
