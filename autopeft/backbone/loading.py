"""A checkpoint -> Backbone: the resident model, frozen, in evaluation mode, with its tokenizer and sizes."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError
from torch import nn
from transformers import AutoConfig, PreTrainedConfig, PreTrainedModel
from transformers.utils import logging as transformers_logging

from autopeft.backbone.blocks import describe
from autopeft.backbone.resolve import resolve
from autopeft.backbone.shapes import BackboneShapes
from autopeft.backbone.verbalisers import start_head
from autopeft.base.errors import AutopeftError
from autopeft.base.packages import Note
from autopeft.tasks.batches import moved
from autopeft.tasks.kind import TaskKind, get_kind
from autopeft.tasks.media import Reader

TOKENIZER_FILES = ("tokenizer*.json", "vocab*", "*.model", "merges.txt", "*.tiktoken")  # one of which a folder has
HEAD_SEED = 0  # the head is drawn anew for every run; this makes the resident one repeatable too


@dataclass(frozen=True, eq=False)
class Backbone:
    """The frozen model that all trials share."""

    name: str
    model: PreTrainedModel
    tokenizer: Any  # transformers' own; for other modalities than text a Reader
    shapes: BackboneShapes
    new_parameters: tuple[str, ...]  # of the head: missing from the checkpoint, so drawn at random


def load_backbone(
    name: str,
    num_labels: int,
    *,
    dtype: torch.dtype = torch.float32,
    attention: str = "eager",
    trust_remote_code: bool = False,
    words: tuple[str, ...] | None = None,
    kind: TaskKind | None = None,
    quantization: Any = None,
    note: Note | None = None,
) -> Backbone:
    """Load a model with the head of a kind of task, every parameter frozen.

    Args:
        name: a checkpoint's folder, a built-in name or a hub name.
        num_labels: C, the outputs of the head.
        dtype: of every weight.
        attention: one of transformers' implementations; an architecture without it takes its own default.
        trust_remote_code: run code that comes with the checkpoint.
        words: one per class; the head then starts as the LM head's rows of these words, the same for every seed.
        kind: of the task (None: text classification).
        quantization: transformers' config of it; the model is then made on the device where it stays.
        note: is told what is fetched.

    Raises:
        AutopeftError: the checkpoint is missing, truncated, not safetensors or not of this architecture, or the
            tokenizer can pad with nothing.
    """
    folder = resolve(name, note)
    config = read_config(name, folder, num_labels, trust_remote_code)
    kind = kind or get_kind()
    tokenizer = load_processor(name, folder, trust_remote_code, kind)
    if kind.modality == "text":
        config.pad_token_id = _padding(tokenizer, name)
    model, missing = _model(name, folder, config, dtype, attention, trust_remote_code, kind, quantization)
    shapes = describe(model, name, kind)
    lost = [k for k in missing if not k.startswith(tuple(f"{h}." for h in shapes.head_modules))]
    if lost:
        raise AutopeftError(
            f"The checkpoint of {name} lacks {len(lost)} weights of the backbone, {lost[0]} first: it is not a whole "
            f"{config.model_type} model."
        )
    if words:
        missing = missing - {start_head(model, tokenizer, folder, words, name)}
    if kind.modality != "text":
        tokenizer = Reader(tokenizer, _tokens_seen(name, model, shapes, kind, tokenizer))
    return Backbone(name, model.eval().requires_grad_(False), tokenizer, shapes, tuple(sorted(missing)))


def read_config(name: str, folder: str, num_labels: int, trust_remote_code: bool) -> PreTrainedConfig:
    """The model's config, for num_labels classes. Raises AutopeftError if it cannot be read."""
    try:
        with _quiet_transformers():  # which warns of the checkpoint's own number of classes
            return AutoConfig.from_pretrained(folder, num_labels=num_labels, trust_remote_code=trust_remote_code)
    except OSError as error:
        if (Path(folder) / "config.json").is_file():
            raise AutopeftError(
                f"The config.json of {name} is damaged (not JSON): fetch the checkpoint again."
            ) from None
        raise AutopeftError(_not_found(name, folder, error)) from None
    except (ValueError, KeyError) as error:
        raise AutopeftError(
            f"The config.json of {name} is of no known architecture: {_first_sentence(error)}"
        ) from None


def load_processor(name: str, folder: str, trust_remote_code: bool, kind: TaskKind) -> Any:
    """The tokenizer; for other modalities the model's own image processor or feature extractor.

    Args:
        name: of the model, for messages.
        folder: as `resolve` gives it.
        trust_remote_code: run code that comes with the checkpoint.
        kind: of the task.

    Raises:
        AutopeftError: there is none, or it cannot be loaded.
    """
    if kind.modality == "text":
        check_tokenizer_files(name, Path(folder))
    what = {"text": "tokenizer", "image": "image processor"}.get(kind.modality, "feature extractor")
    try:
        return getattr(transformers, kind.auto_processor).from_pretrained(folder, trust_remote_code=trust_remote_code)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise AutopeftError(f"The {what} of {name} cannot be loaded: {_first_sentence(error)}") from None


def check_tokenizer_files(name: str, folder: Path) -> None:
    """Refuse a model folder without a tokenizer, for which transformers makes up an empty one. Raises AutopeftError."""
    if folder.is_dir() and not any(any(folder.glob(p)) for p in TOKENIZER_FILES):
        raise AutopeftError(
            f"The folder {name} holds no tokenizer (no tokenizer.json, vocab.txt or the like): copy the files of the "
            "tokenizer that the model was trained with into it."
        )


def _padding(tokenizer: Any, name: str) -> int:
    """The id that pads; a tokenizer without a padding token pads with its end token from here on."""
    if tokenizer.pad_token is None:
        if tokenizer.eos_token is None:
            raise AutopeftError(
                f"The tokenizer of {name} has neither a padding token nor an end token: set pad_token in its tokenizer_config.json."
            )
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer.pad_token_id


class _Seen(Exception):
    """Ends a forward pass at the first block."""


@torch.no_grad()
def _tokens_seen(name: str, model: PreTrainedModel, shapes: BackboneShapes, kind: TaskKind, processor: Any) -> int:
    """How many tokens the blocks get of a row. Raises AutopeftError where processor and model do not fit."""
    seen: list[int] = []

    def stop(_: nn.Module, args: tuple, kwargs: dict) -> None:
        seen.append((args[0] if args else kwargs["hidden_states"]).shape[1])
        raise _Seen

    hook = model.get_submodule(shapes.block(0)).register_forward_pre_hook(stop, with_kwargs=True)
    try:
        made = torch.from_numpy(kind.processed([kind.blank(processor)], processor))
        with suppress(_Seen):
            model(**moved({kind.input_name: made}, next(model.parameters())))
    except (ValueError, RuntimeError, TypeError) as error:
        raise AutopeftError(
            f"What the processor of {name} makes does not fit its model: {_first_sentence(error)}"
        ) from None
    finally:
        hook.remove()
    return seen[0]


def _model(
    name: str,
    folder: str,
    config: PreTrainedConfig,
    dtype: torch.dtype,
    attention: str,
    trust_remote_code: bool,
    kind: TaskKind,
    quantization: Any = None,
) -> tuple[PreTrainedModel, set[str]]:
    """The model and the names of the parameters that its checkpoint lacks."""
    load = getattr(transformers, kind.auto_model).from_pretrained
    arguments = {
        "config": config,
        "dtype": dtype,
        "trust_remote_code": trust_remote_code,
        "use_safetensors": True,
        "ignore_mismatched_sizes": True,
        "output_loading_info": True,
    }  # a head for other classes is drawn anew
    if quantization is not None:
        arguments |= {"quantization_config": quantization, "device_map": "auto" if torch.cuda.is_available() else "cpu"}
    try:
        with _quiet_transformers(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(HEAD_SEED)
            try:
                model, info = load(folder, attn_implementation=attention, **arguments)
            except (ValueError, ImportError) as error:  # this architecture has no such attention: its own default
                if "attention" not in str(error).lower() and "sdpa" not in str(error).lower():
                    raise
                model, info = load(folder, **arguments)
    except (SafetensorError, RuntimeError, ValueError, KeyError, EOFError) as error:
        raise AutopeftError(
            f"The checkpoint of {name} cannot be read, it may be truncated: {_first_sentence(error)}"
        ) from None
    except OSError as error:
        raise AutopeftError(_not_found(name, folder, error)) from None
    return model, set(info["missing_keys"]) | {key for key, *_ in info["mismatched_keys"]}


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Neither warnings nor progress bars of transformers for the length of a with block."""
    verbosity, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()


def _not_found(name: str, folder: str, error: Exception) -> str:
    path = Path(folder)
    if not path.is_dir():
        return f"The model {name} is no folder here and no hub that has it can be reached: check the name, or give a checkpoint's folder."
    if list(path.glob("*.bin")) and not list(path.glob("*.safetensors")):
        return f"The checkpoint of {name} is a pickle (.bin), which autopeft does not open: convert it to safetensors first."
    return f"The checkpoint of {name} cannot be read: {_first_sentence(error)}"


def _first_sentence(error: Exception) -> str:
    text = " ".join(str(error).split())
    return (text.split(". ")[0][:200] or type(error).__name__).rstrip(".") + "."
