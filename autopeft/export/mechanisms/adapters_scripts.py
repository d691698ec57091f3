"""The scripts for AdapterHub's adapters: one writes the rows, the other trains on them."""

from autopeft.base.recipe import BETAS, CLIP, EPSILON, WEIGHT_DECAY
from autopeft.export.mechanisms.rows import FILES, arguments
from autopeft.export.mechanisms.toolkit import Case, in_docstring
from autopeft.export.mechanisms.training import BEST_WEIGHTS, RATE

ADAPTER = "autopeft"


def tokens_script(case: Case) -> str:
    """data.py: the study's own tokens, so that the training needs no autopeft."""
    spec = case.spec
    pattern = f", pattern={spec['pattern']!r}" if spec.get("pattern") else ""
    return f'''"""Writes the study's rows as {" and ".join(FILES.values())}: token ids and the index of the class. Needs autopeft."""

import json
from pathlib import Path

from autopeft.tasks import load_task
from autopeft.tasks.tokens import tokenise
from transformers import AutoTokenizer

task = load_task({arguments(case)})
tokenizer = AutoTokenizer.from_pretrained({case.model!r})
tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
tokens = tokenise(task, tokenizer, {spec["max_length"]}{pattern})
for part, name in {FILES!r}.items():
    split = getattr(tokens, part)
    with open(Path(__file__).parent / name, "w", encoding="utf-8") as file:
        for i, label in enumerate(split.labels.tolist()):
            row = {{"input_ids": split.input_ids[i].tolist(), "labels": label}}
            if split.token_type_ids is not None:
                row["token_type_ids"] = split.token_type_ids[i].tolist()
            file.write(json.dumps(row) + "\\n")
'''


def train_script(case: Case) -> str:
    """train.py: needs adapters and not autopeft."""
    spec, low, every = case.spec, case.format == "bf16", case.evaluation_interval
    evaluated = ""
    if every:
        rows = f"load_dataset('json', data_files=str(here / {FILES['validation']!r}), split='train')"
        evaluated = f"\n        eval_dataset={rows},\n        callbacks=[BestWeights(trained)],"
    no_dropout = "".join(f", {name}={value}" for name, value in case.no_dropout.items())
    return f'''"""Trains {in_docstring(case.configuration)} with AdapterHub's adapters; the rows are those that data.py wrote."""

import json
from pathlib import Path

import adapters
import torch
from adapters import AdapterConfig, AdapterTrainer
from datasets import load_dataset
from torch.optim.lr_scheduler import LambdaLR
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, DataCollatorWithPadding, {"TrainerCallback, " if every else ""}TrainingArguments

HEAD = {list(case.shapes.head_modules)!r}
STEPS = {case.steps}
{f"EVERY = {every}" + chr(10) if every else ""}here = Path(__file__).parent

{RATE}{BEST_WEIGHTS if every else ""}

def adapted(model):
    """The model with the adapter of adapter.json, which alone is trained, and the task head."""
    adapters.init(model)
    model.add_adapter({ADAPTER!r}, config=AdapterConfig.load(json.loads((here / "adapter.json").read_text())))
    model.train_adapter({ADAPTER!r})
    for path in HEAD:
        model.get_submodule(path).requires_grad_(True)
    return model


def main():
    tokenizer = AutoTokenizer.from_pretrained({case.model!r})
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    # The study trained without the model's own dropout.
    config = AutoConfig.from_pretrained({case.model!r}, num_labels={len(case.labels)}{no_dropout})
    dtype = torch.{"bfloat16" if low else "float32"}
    model = AutoModelForSequenceClassification.from_pretrained({case.model!r}, config=config, dtype=dtype)
    model.config.pad_token_id = tokenizer.pad_token_id
    adapted(model)
    heads = {{id(p) for path in HEAD for p in model.get_submodule(path).parameters()}}
    trained = [p for p in model.parameters() if p.requires_grad]
    for parameter in trained:  # fp32, whatever the format of the frozen weights
        parameter.data = parameter.data.float()
    groups = [
        {{"params": [p for p in trained if id(p) not in heads], "lr": {case.learning_rate!r}}},
        {{"params": [p for p in trained if id(p) in heads], "lr": {case.head_learning_rate!r}}},
    ]
    optimizer = torch.optim.AdamW(groups, betas={BETAS}, eps={EPSILON}, weight_decay={WEIGHT_DECAY})
    trainer = AdapterTrainer(
        model=model,
        args=TrainingArguments(
            output_dir="adapter",
            max_steps=STEPS,
            per_device_train_batch_size={spec["batch_size"]},
            max_grad_norm={CLIP},
            seed={spec["seed"]},
            group_by_length=True,
            bf16={low},
            use_cpu=not torch.cuda.is_available(),
            save_strategy="no",
            report_to="none",
        ),
        train_dataset=load_dataset("json", data_files=str(here / {FILES["train"]!r}), split="train"),{evaluated}
        data_collator=DataCollatorWithPadding(tokenizer),
        optimizers=(optimizer, LambdaLR(optimizer, rate)),
    )
    trainer.train()
    model.save_adapter("adapter", {ADAPTER!r})
    torch.save({{path: model.get_submodule(path).state_dict() for path in HEAD}}, "adapter/task_head.pt")
    return model


if __name__ == "__main__":
    main()
'''
