"""SELECTED: no adapter; whole modules train in a copy (peft's modules_to_save), and unload puts the originals back."""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn
from typing_extensions import override

from autopeft.methods.mechanisms.peft_registration import register
from autopeft.methods.mechanisms.wrapping import WrappingConfig, WrappingTuner


@dataclass
class SelectedConfig(WrappingConfig):
    """modules_to_save is what is trained. With beside_blocks = path or paths of the blocks, also all that lies beside them.

    The modules beside the blocks (embeddings, final norm, relative positions) are found when the model is there and
    written into modules_to_save; those inside a module already in modules_to_save (the pooler) are not listed again.
    """

    name: ClassVar[str] = "SELECTED"
    beside_blocks: str | list[str] | None = None


class SelectedModel(WrappingTuner):
    """Trains the modules to save and, if asked, what lies beside the blocks."""

    prefix = "selected_"

    @override
    def _pre_injection_hook(self, model: nn.Module, config: SelectedConfig, adapter_name: str) -> None:
        if config.beside_blocks:
            saved = list(config.modules_to_save or ())
            config.modules_to_save = saved + [
                path for path in beside(model, config.beside_blocks) if not within(path, saved)
            ]


def beside(model: nn.Module, blocks: str | list[str]) -> list[str]:
    """Paths of the modules outside the blocks that own parameters themselves."""
    stacks = [blocks] if isinstance(blocks, str) else blocks
    return [
        path
        for path, module in model.named_modules()
        if next(module.parameters(recurse=False), None) is not None and not within(path, stacks)
    ]


def within(path: str, roots: list[str]) -> bool:
    """Whether a path is one of the roots or lies in one."""
    return any(path == root or path.startswith(root + ".") for root in roots)


register(SelectedConfig.name, SelectedConfig, SelectedModel, SelectedModel.prefix)
