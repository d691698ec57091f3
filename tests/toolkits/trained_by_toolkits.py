"""Exported files -> the loss on the training rows, once the toolkit has trained from them. One function for each."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import environments
import torch
from safetensors import safe_open

from autopeft.base.recipe import BETAS, CLIP, EPSILON, WEIGHT_DECAY, learning_rate_factor
from autopeft.methods.mechanisms.attach import is_head
from autopeft.tasks.batches import collate, endless


def by_peft(trial, folder: Path) -> float:
    """adapter_config.json in peft, and a loop with the numbers of the README."""
    from peft import PeftConfig, get_peft_model

    torch.manual_seed(trial.spec.seed)
    tokens, case, head = trial.tokens, trial.case, trial.shapes.head_modules
    model = get_peft_model(bare(trial), PeftConfig.from_pretrained(str(folder))).eval()
    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    groups = [
        {"params": [p for n, p in named if is_head(n, head) == of_head], "lr": rate}
        for of_head, rate in ((False, case.learning_rate), (True, case.head_learning_rate))
    ]
    optimiser = torch.optim.AdamW(
        [g for g in groups if g["params"]], betas=BETAS, eps=EPSILON, weight_decay=WEIGHT_DECAY
    )
    rates = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: learning_rate_factor(step, case.steps))
    batches = endless(tokens.train, trial.spec.batch_size, trial.spec.seed)
    for _, rows in zip(range(case.steps), batches):
        inputs, targets = collate(tokens.train, rows, tokens.pad_token_id)
        optimiser.zero_grad()
        tokens.kind.loss(tokens.kind.logits(model(**inputs)), targets).backward()
        torch.nn.utils.clip_grad_norm_([p for _, p in named], CLIP)
        optimiser.step()
        rates.step()
    return trial.loss(model)


def by_script(trial, folder: Path) -> float:
    """train.py here; of a language model with trl from its own environment."""
    if not trial.case.generates:
        called([sys.executable, "train.py"], folder)
        return loss_of(trial, saved(folder))
    site = environments.run("trl", "site")
    called([sys.executable, "data.py"], folder)
    code = f"import runpy, sys; sys.path.append({site!r}); sys.argv = ['train.py']; runpy.run_path('train.py')"
    called([sys.executable, "-c", code], folder)
    return loss_of(trial, saved(folder))


def by_trl(trial, folder: Path) -> float:
    """Its own command; what needs a script, as `script`."""
    if not (folder / "sft.yaml").exists():
        return by_script(trial, folder)
    return by_command("trl")(trial, folder)


def by_command(toolkit: str) -> Callable:
    """The toolkit's whole training, from the file as it is."""

    def trained(trial, folder: Path) -> float:
        called([sys.executable, "data.py"], folder)
        environments.run(toolkit, "train", folder)
        return loss_of(trial, saved(folder))

    return trained


def by_adapters(trial, folder: Path) -> float:
    """Its script, and the loss in its own environment: autopeft does not read what it saves."""
    called([sys.executable, "data.py"], folder)
    return environments.run("adapters", "train", folder)


def called(command: list, folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def saved(folder: Path) -> Path:
    """The newest adapter or model below the folder."""
    found = [p for name in ("adapter_model", "model") for p in (folder / "adapter").rglob(f"{name}.safetensors")]
    return max(found, key=lambda path: path.stat().st_mtime).parent


def bare(trial):
    """The checkpoint, fresh."""
    import transformers

    kind = getattr(transformers, trial.task.kind.auto_model)
    return kind.from_pretrained(trial.spec.model, num_labels=trial.task.outputs).eval()


def loss_of(trial, folder: Path) -> float:
    """The loss on the training rows of a saved adapter or a whole saved model."""
    import transformers
    from peft import PeftModel

    import autopeft  # noqa: F401  (peft learns of its methods)

    if (folder / "adapter_model.safetensors").exists():
        with safe_open(folder / "adapter_model.safetensors", "pt") as file:
            assert list(file.keys())
        model = PeftModel.from_pretrained(bare(trial), str(folder))
    else:
        kind = getattr(transformers, trial.task.kind.auto_model)
        model = kind.from_pretrained(str(folder), num_labels=trial.task.outputs)
    return trial.loss(model.float().eval().requires_grad_(False))


TRAINED_BY: dict[str, Callable] = {
    "peft": by_peft,
    "script": by_script,
    "trl": by_trl,
    "llamafactory": by_command("llamafactory"),
    "axolotl": by_command("axolotl"),
    "swift": by_command("swift"),
    "adapters": by_adapters,
}
