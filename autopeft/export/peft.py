"""Configuration -> adapter_config.json and a README with the training hyperparameters. Imports no torch."""

import json
from importlib.metadata import version
from pathlib import Path

from autopeft.configuration import Configuration, called
from autopeft.methods import count, get_method, peft_fields
from autopeft.procedures import get_procedure
from autopeft.study.folder import write_whole
from autopeft.study.records import StudyResult
from autopeft.tasks.kind import get_kind
from autopeft.tasks.task import asked


def export_peft(result: StudyResult, name: str, configuration: Configuration, out: Path) -> Path:
    """Write what peft's own get_peft_model needs to train this configuration, and how it was trained here."""
    fields = {
        **peft_fields(configuration, result.shapes),
        "base_model_name_or_path": result.spec["model"],
        "peft_version": version("peft"),
    }
    write_whole(out / "adapter_config.json", json.dumps(fields, indent=2, sort_keys=True) + "\n")
    write_whole(out / "README.md", readme(result, name, configuration))
    return out


def head_rate(spec: dict, configuration: Configuration) -> float:
    """The head's learning rate; the linear probe trains nothing else."""
    return configuration.learning_rate if configuration.method == "head_only" else spec["head_learning_rate"]


def trained_by(configuration: Configuration) -> str:
    """What peft's config cannot hold: how the parameters were trained."""
    procedure = get_procedure(configuration.procedure)
    if configuration.procedure == "plain":
        return procedure.title
    how = called(configuration.procedure, configuration.procedure_settings)
    return f"{procedure.title} ({procedure.paper}): `{how}`; peft does not know it, `autopeft train` does"


def readme(result: StudyResult, name: str, configuration: Configuration) -> str:
    """The training hyperparameters of a configuration, and the lines that train it."""
    spec, trainable = result.spec, count(configuration, result.shapes)
    pattern = f"\n| ends every text | `{spec['pattern']}` |" if spec.get("pattern") else ""
    methods = [get_method(m) for m in configuration.methods]
    task, kind = result.task, get_kind(result.task.get("kind", "classification"))
    facts = "".join(f"\n| {name} | {value:.6g} |" for name, value in task.get("facts", {}).items())
    return f"""# {name}: {configuration.method} for {spec["model"]}

Found by autopeft on {result.task["name"]} ({task["train"]:,} training rows, {asked(task)}).

| | |
|---|---|
| method | {", ".join(m.title for m in methods)} ({"; ".join(m.paper for m in methods)}) |
| configuration | `{configuration}` |
| trainable parameters | {trainable:,} ({result.percent(trainable):.3f} % of the backbone), and {result.shapes.head_parameters:,} of the task head |
| task head, trained in full | {", ".join(result.shapes.head_modules)} |
| learning rate | {configuration.learning_rate:g}, and {head_rate(spec, configuration):g} for the task head; 6 % linear warm-up, then linear decay to zero |
| procedure | {trained_by(configuration)} |
| optimiser | AdamW, weight decay 0, gradient norm clipped at 1 |
| batch size | {spec["batch_size"]} |
| steps | {spec["full_steps"]} |
| longest text | {spec["max_length"]} tokens |{pattern}{facts}
| frozen backbone | evaluation mode: its dropout is off |

```python
import autopeft  # registers the methods that peft does not have
from peft import PeftConfig, get_peft_model
from transformers import {kind.auto_model}

base = {kind.auto_model}.from_pretrained({spec["model"]!r}, num_labels={task.get("outputs", len(task["classes"]))})
model = get_peft_model(base, PeftConfig.from_pretrained("."))
```

`autopeft train {result.folder}` trains it in full and saves the adapter.
"""
