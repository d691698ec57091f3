"""A training script of one file, for what other toolkits have no key for."""

import pprint
from collections.abc import Mapping

from typing_extensions import override

from autopeft.base.recipe import BETAS, CLIP, EPSILON, WEIGHT_DECAY
from autopeft.export.mechanisms.beyond import does, losses_between_steps, procedure_losses
from autopeft.export.mechanisms.rows import FILES, SOURCE, arguments, rows_script, words_of_classes
from autopeft.export.mechanisms.toolkit import Case, Toolkit, Written, in_docstring
from autopeft.export.mechanisms.training import BEST_WEIGHTS, BY_LENGTH, RATE, adamw
from autopeft.export.peft import adapter_config, in_peft
from autopeft.procedures import get_procedure
from autopeft.study.length import PATIENCE


class Script(Toolkit):
    """A script that imports autopeft, so that it can train every method."""

    name = "script"
    title = "transformers' Trainer"
    what = "train.py: the Trainer (TRL's SFTTrainer for language models) on the study's data; every method of autopeft"
    needs = "autopeft, and trl 1.16 for language models"

    @override
    def write(self, case: Case) -> Written:
        if not case.generates or steps_its_own_way(case):
            return on_the_task(case)
        if not case.trainable:
            return Written(reason=f"{case.methods[0].title} trains no parameter of the language model.")
        losses = self.generates(case)[1] + case.beyond
        return Written(sft_files(case), "python data.py && python train.py", losses, case.instead if losses else "")


def steps_its_own_way(case: Case) -> bool:
    """Whether the procedure replaces both the gradients and what steps on them, which a Trainer's step has room for."""
    procedure = get_procedure(case.configuration.procedure)
    return procedure.own_gradients and procedure.own_optimiser


def on_the_task(case: Case) -> Written:
    """The search's own attachment and losses under transformers' Trainer; what acts between steps is lost."""
    parts = [(m, case.configuration.settings_of(m.name)) for m in case.methods]
    losses = [loss for method, settings in parts for loss in losses_between_steps(method, settings)]
    losses += () if steps_its_own_way(case) else procedure_losses(case.configuration)
    regularised = any(does(method, "extra_loss", settings) for method, settings in parts)
    text = task_script(case, any(m.needs_statistics for m in case.methods), regularised)
    nearest = f"the parameters of {case.configuration.method}, all of them at every step"
    return Written({"train.py": text}, "python train.py", tuple(losses), nearest if losses else "")


def task_script(case: Case, statistics: bool, regularised: bool) -> str:
    """train.py with the batches and the loss of the study's kind of task.

    Args:
        case: what is trained.
        statistics: whether the method reads the task's data before it trains.
        regularised: whether the methods add losses of their own.

    Returns:
        The text of the script.
    """
    spec = case.spec
    start = f", words={words_of_classes(case)!r}" if spec.get("verbalisers") else ""
    code = ", trust_remote_code=True" if spec.get("trust_remote_code") else ""
    low = case.format == "bf16"
    pattern = f", pattern={spec['pattern']!r}" if spec.get("pattern") else ""
    imports = "\nfrom autopeft.methods.mechanisms.statistics import Statistics" if statistics else ""
    imports += "\nfrom autopeft.methods import get_method" if regularised else ""
    own = steps_its_own_way(case)
    imports += "\nfrom autopeft.procedures import get_procedure" if own else ""
    early = case.evaluation_interval is not None
    imports += "\nfrom autopeft.proxy.stopping import EarlyStopping" if early else ""
    types, optimiser = "", "torch.optim.AdamW"
    numbers = f"\n    betas={BETAS},\n    eps={EPSILON},\n    weight_decay={WEIGHT_DECAY},"
    if own:
        types = "\nfrom types import SimpleNamespace"
        optimiser, numbers = "get_procedure(CONFIGURATION.procedure).optimiser", ""
    return f'''"""Trains {in_docstring(case.configuration)} on {in_docstring(case.task["name"])} and saves the adapter."""

import argparse
from itertools import islice{types}

import torch
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader
from transformers import Trainer,{" TrainerCallback," if early else ""} TrainingArguments

import autopeft
from autopeft.backbone.loading import load_backbone
from autopeft.base.recipe import learning_rate_factor{imports}
from autopeft.methods.mechanisms.attach import attach, is_head, trainable_parameters
from autopeft.proxy.scoring import evaluate
from autopeft.tasks import load_task
from autopeft.tasks.batches import collate, endless
from autopeft.tasks.tokens import tokenise

CONFIGURATION = autopeft.Configuration.from_json(
    {indented(case.configuration.to_json())}
)
BATCH_SIZE, SEED = {spec["batch_size"]}, {spec["seed"]}

arguments = argparse.ArgumentParser()
arguments.add_argument("--steps", type=int, default={case.steps})
arguments.add_argument("--out", default="adapter")
arguments = arguments.parse_args()

task = load_task({arguments(case)})
backbone = load_backbone({case.model!r}, task.outputs, kind=task.kind{start}{code}{", dtype=torch.bfloat16" if low else ""})
tokens = tokenise(task, backbone.tokenizer, {spec["max_length"]}{pattern})
model = attach(CONFIGURATION, backbone, SEED{", Statistics(backbone, tokens)" if statistics else ""})
model.train = lambda mode=True: model  # as in the search: the frozen backbone's dropout stays off

named, head = trainable_parameters(model), backbone.shapes.head_modules
optimizer = {optimiser}(
    [
        {{"params": [p for n, p in named if not is_head(n, head)], "lr": {case.learning_rate!r}}},
        {{"params": [p for n, p in named if is_head(n, head)], "lr": {case.head_learning_rate!r}}},
    ],{numbers}
)
schedule = LambdaLR(optimizer, lambda step: learning_rate_factor(step, arguments.steps))
batches = list(islice(endless(tokens.train, BATCH_SIZE, SEED), arguments.steps))  # the search's own, in its order


def batch(rows) -> dict:
    inputs, targets = collate(tokens.train, rows, tokens.pad_token_id)
    return {{**inputs, "targets": targets}}


class TaskTrainer(Trainer):
    def get_train_dataloader(self):
        return DataLoader(batches, batch_size=None, collate_fn=batch)

    def compute_loss(self, model, inputs, return_outputs=False, **kwargs):
        targets = inputs.pop("targets")
        outputs = model(**inputs)
        loss = tokens.kind.loss(tokens.kind.logits(outputs), targets)
{regulariser() if regularised else ""}        return (loss, outputs) if return_outputs else loss
{own_step() if own else ""}

trainer = TaskTrainer(
    model=model,
    args=TrainingArguments(
        output_dir=arguments.out,
        max_steps=arguments.steps,
        per_device_train_batch_size=BATCH_SIZE,
        max_grad_norm={0.0 if own else CLIP},
        seed=SEED,
        bf16={low},
        use_cpu=not torch.cuda.is_available(),
        save_strategy="no",
        report_to="none",
        remove_unused_columns=False,
    ),
    train_dataset=batches,
    optimizers=(optimizer, schedule),
)
{early_end(case) if early else ""}trainer.train()
{"stopping.restore(dict(named))" + chr(10) if early else ""}model.save_pretrained(arguments.out)
loss, score = evaluate(model, tokens.validation, tokens)
print(f"validation loss {{loss:.4f}}, {{task.metric}} {{score:.4f}}; adapter in {{arguments.out}}")
'''


def early_end(case: Case) -> str:
    """The search's own rule for the end of a run."""
    return f"""\
stopping = EarlyStopping(patience={PATIENCE})


class BestWeights(TrainerCallback):
    def on_step_end(self, args, state, control, **kwargs):
        step, every = state.global_step, {case.evaluation_interval}
        if step == arguments.steps or (step % every == 0 and step <= arguments.steps - every):
            stopping.see(evaluate(model, tokens.validation, tokens)[0], dict(named))
            control.should_training_stop = control.should_training_stop or stopping.stopped


trainer.add_callback(BestWeights())
"""


def regulariser() -> str:
    """Adds the methods' own losses."""
    return """\
        for name in CONFIGURATION.methods:
            extra = get_method(name).extra_loss(model, CONFIGURATION.settings_of(name))
            loss = loss if extra is None else loss + extra
"""


def own_step() -> str:
    """The procedure's own gradients, on what it reads of a run."""
    return """
    def training_step(self, model, inputs, *_):
        def losses(_):
            return self.compute_loss(model, self._prepare_inputs(dict(inputs)))[None]

        run = SimpleNamespace(
            parameters=dict(named), seed=SEED, step=self.state.global_step, shapes=backbone.shapes, losses=losses
        )
        how = dict(CONFIGURATION.procedure_settings)
        with self.compute_loss_context_manager():
            return get_procedure(CONFIGURATION.procedure).gradients(run, None, how).mean()
"""


def sft_script(case: Case) -> str:
    """train.py of adapters on a language model; the adapter_config.json beside it is what is trained."""
    spec, low = case.spec, case.format == "bf16"
    no_dropout = "".join(f", {name}={value}" for name, value in case.no_dropout.items())
    own = "" if in_peft(case) else "import autopeft  # noqa: F401  (peft learns of its methods)\n"
    every, evaluated, watched = case.evaluation_interval, "", ""
    if every:
        evaluated = f"\n    eval_dataset=load_dataset('json', data_files={FILES['validation']!r}, split='train'),"
        watched = "trainer.add_callback(BestWeights(p for p in trainer.model.parameters() if p.requires_grad))\n"
    return f'''"""Trains the adapter_config.json beside it on {spec["model"]} with TRL's SFTTrainer and saves the adapter."""

import argparse
from pathlib import Path

{own}import torch
from datasets import load_dataset
from peft import PeftConfig
from torch.optim.lr_scheduler import LambdaLR
from transformers import AutoModelForCausalLM{", TrainerCallback" if every else ""}
from trl import SFTConfig, SFTTrainer

arguments = argparse.ArgumentParser()
arguments.add_argument("--steps", type=int, default={case.steps})
arguments.add_argument("--out", default="adapter")
arguments = arguments.parse_args()
STEPS = arguments.steps
{f"EVERY = {every}" + chr(10) if every else ""}
{RATE}{BEST_WEIGHTS if every else ""}

class Trainer(SFTTrainer):
    def create_scheduler(self, num_training_steps, optimizer=None):
        self.lr_scheduler = LambdaLR(optimizer or self.optimizer, rate)
        return self.lr_scheduler


trainer = Trainer(
    model=AutoModelForCausalLM.from_pretrained({case.model!r}, dtype=torch.{"bfloat16" if low else "float32"}{no_dropout}),
    args=SFTConfig(
        output_dir=arguments.out,
        max_steps=STEPS,
        per_device_train_batch_size={spec["batch_size"]},
        learning_rate={case.learning_rate!r},
        optim="adamw_torch",
        {keywords(adamw())},
        {keywords(BY_LENGTH)},
        max_length={spec["max_length"]},
        seed={spec["seed"]},
        bf16={low},
        use_cpu=not torch.cuda.is_available(),
        save_strategy="no",
        report_to="none",
    ),
    train_dataset=load_dataset(**{SOURCE!r}, split="train"),{evaluated}
    peft_config=PeftConfig.from_pretrained(str(Path(__file__).parent)),
)
for parameter in trainer.model.parameters():
    if parameter.requires_grad:  # what is trained is fp32, whatever the format of the frozen weights
        parameter.data = parameter.data.float()
{watched}trainer.train()
trainer.save_model(arguments.out)
'''


def sft_files(case: Case) -> dict[str, str]:
    """What `python data.py && python train.py` trains the adapters on a language model from."""
    fields = {"task_type": "CAUSAL_LM", **case.adapter_fields}
    return {
        "train.py": sft_script(case),
        "adapter_config.json": adapter_config(case, fields),
        "data.py": rows_script(case),
    }


def keywords(values: Mapping[str, object]) -> str:
    """Arguments of a call, in Python's spelling."""
    return ", ".join(f"{name}={value!r}" for name, value in values.items())


def indented(value: object) -> str:
    """A value in Python's spelling, for a place that is indented by four."""
    return pprint.pformat(value, width=110, sort_dicts=False).replace("\n", "\n    ")
