"""peft: adapter_config.json and a README with the training hyperparameters."""

import json
from importlib.metadata import version

from typing_extensions import override

from autopeft.base.errors import printable
from autopeft.base.recipe import WARMUP, warmup_steps
from autopeft.configuration import Configuration, called
from autopeft.export.mechanisms.beyond import types_of_peft
from autopeft.export.mechanisms.toolkit import Case, Toolkit, Written
from autopeft.export.mechanisms.training import length
from autopeft.procedures import get_procedure
from autopeft.study.records import StudyResult
from autopeft.tasks.task import asked


class Peft(Toolkit):
    """The config that the search itself gave to peft, for `get_peft_model`."""

    name = "peft"
    title = "peft"
    what = "adapter_config.json for get_peft_model"
    needs = "peft 0.21, and autopeft for the methods that peft does not have"

    @override
    def write(self, case: Case) -> Written:
        """Every field that the search itself gave to peft; all of it is trained, what else the method does is said."""
        return Written(
            files={"adapter_config.json": adapter_config(case, case.fields), "README.md": card(case)},
            command="python -c \"import autopeft; from peft import PeftConfig; print(PeftConfig.from_pretrained('.'))\"",
            losses=case.beyond,
            nearest=case.instead if case.beyond else "",
        )


def adapter_config(case: Case, fields: dict) -> str:
    """The text of adapter_config.json."""
    whole = {**fields, "base_model_name_or_path": case.model, "peft_version": version("peft")}
    return json.dumps(whole, indent=2, sort_keys=True) + "\n"


def in_peft(case: Case) -> bool:
    """Whether peft itself has the method; the others need autopeft to be imported."""
    return case.fields["peft_type"] in types_of_peft()


def trained_by(case: Case) -> str:
    """What peft's config cannot hold: how the parameters were trained."""
    configuration, procedure = case.configuration, get_procedure(case.configuration.procedure)
    if configuration.procedure == "plain":
        return procedure.title
    how = called(configuration.procedure, configuration.procedure_settings)
    return f"{procedure.title} ({procedure.paper}): `{how}`; peft does not know it, `autopeft train` does"


def readme(result: StudyResult, name: str, configuration: Configuration) -> str:
    """The training hyperparameters of a configuration of a study, and the lines that train it.

    Args:
        result: the study.
        name: what it is called: "trial 7".
        configuration: the configuration.

    Returns:
        A page in Markdown.
    """
    return card(Case.of(result, name, configuration))


def best_steps(case: Case) -> str:
    """Whose weights counted in the study's own runs of the configuration, where they could end early."""
    steps = ", ".join(f"{step:,}" for step in case.best_steps)
    return f": in the study's own runs those of step {steps}" if steps else ""


def card(case: Case) -> str:
    """The training hyperparameters of a case, and the lines that train it."""
    spec, shapes, methods = case.spec, case.shapes, case.methods
    share = 100 * case.trainable / shapes.backbone_parameters
    pattern = f"\n| ends every text | `{spec['pattern']}` |" if spec.get("pattern") else ""
    kind, outputs = case.kind, case.task.get("outputs", len(case.labels))
    labels = f", num_labels={outputs}" if kind.new_head else ""
    facts = "".join(f"\n| {name} | {value:.6g} |" for name, value in case.task.get("facts", {}).items())
    lost = "".join(f"\n- {sentence}" for sentence in case.beyond)
    lost = f"\nWhat this config does not hold, and `autopeft train` does:\n{lost}\n" if lost else ""
    return f"""# {case.name}: {case.configuration.method} for {printable(spec["model"])}

Found by autopeft on {printable(case.task["name"])} ({case.task["train"]:,} training rows, {asked(case.task)}).

| | |
|---|---|
| method | {", ".join(m.title for m in methods)} ({"; ".join(m.paper for m in methods)}) |
| configuration | `{case.configuration}` |
| trainable parameters | {case.trainable:,} ({share:.3f} % of the backbone), and {shapes.head_parameters:,} of the task head |
| task head, trained in full | {", ".join(shapes.head_modules)} |
| learning rate | {case.learning_rate:g}, and {case.head_learning_rate:g} for the task head; {100 * WARMUP:g} % linear warm-up, then linear decay to zero: of T = {case.steps} steps, w = {warmup_steps(case.steps)} of them warm-up, step s from 0 has the share (s + 1) / w, from step w on (T - s) / (T - w) |
| procedure | {trained_by(case)} |
| optimiser | {get_procedure(case.configuration.procedure).stepping} |
| batch size | {spec["batch_size"]} |
| length | {length(case)}{best_steps(case)} |
| longest text | {spec["max_length"]} tokens |{pattern}{facts}
| frozen backbone | evaluation mode: its dropout is off |

```python
import autopeft  # registers the methods that peft does not have
from peft import PeftConfig, get_peft_model
from transformers import {kind.auto_model}

base = {kind.auto_model}.from_pretrained({case.model!r}{labels})
model = get_peft_model(base, PeftConfig.from_pretrained("."))
```
{lost}
`autopeft train {case.folder}` trains it in full and saves the adapter.
"""
