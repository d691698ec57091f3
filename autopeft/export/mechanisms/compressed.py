"""A saved adapter, measured from where it began <-> its compact file.

The update of an adapter that `autopeft train` saved is measured from its very start, which configuration and seed give
again. Of any other adapter the seed is not known: its update is measured from what the constructor gives whatever the
seed (1 for (IA)^3's vectors, 0 for LoRA's B, the backbone's own numbers for modules trained in a copy) and from 0, as
in ComPEFT, where the constructor draws (LoRA's A); head parameters that the checkpoint lacks are then kept as they are.
The method's parameters and the head's each have a scale of their own, since they learn at different rates.
"""

import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from autopeft.base.errors import AutopeftError
from autopeft.base.files import whole_folder
from autopeft.export.mechanisms.signs import Signs, as_bytes, entropy

if TYPE_CHECKING:
    import torch
    from torch import nn

    from autopeft.backbone.loading import Backbone

FILE = "compressed.safetensors"


@dataclass
class Saved:
    """A saved adapter, the backbone it belongs to, and what each of its tensors is measured from."""

    folder: Path
    backbone: "Backbone"
    tensors: "dict[str, torch.Tensor]"  # name -> tensor, as peft saved them
    starts: "dict[str, torch.Tensor]"  # name -> tensor that its update is measured from
    groups: dict[str, list[str]]  # "method" and "head" -> the names that share a scale; the rest is kept as it is
    origin: dict[str, Any] | None  # what `autopeft train` says of the start: configuration and seed

    @classmethod
    def read(cls, folder: Path, backbone: "Backbone") -> "Saved":
        """Read the weights. Raises AutopeftError if the weights, the config and the backbone do not fit together."""
        from safetensors.torch import load_file

        tensors = load_file(folder / "adapter_model.safetensors")
        origin = origin_of(folder)
        starts, trained = references(backbone, folder, origin)
        if set(starts) != set(tensors) or any(starts[n].shape != t.shape for n, t in tensors.items()):
            raise AutopeftError(f"The weights in {folder} are not those of its adapter_config.json on {backbone.name}.")
        head = tuple(f"{path}." for path in backbone.shapes.head_modules)
        drawn = () if origin else backbone.new_parameters
        known = [n for n in tensors if n in trained and own_name(n) not in drawn]
        groups = {
            "method": [n for n in known if not own_name(n).startswith(head)],
            "head": [n for n in known if own_name(n).startswith(head)],
        }
        return cls(folder, backbone, tensors, starts, {k: v for k, v in groups.items() if v}, origin)

    def signs(self, density: float, alpha: float) -> dict[str, Signs]:
        """The compressed update of each group. Raises AutopeftError when nothing was learnt."""
        import torch

        found = {}
        for group, names in self.groups.items():
            update = torch.cat([(self.tensors[n].float() - self.starts[n].float()).flatten() for n in names]).numpy()
            found[group] = Signs.of(update, density, alpha)
        if not any(s.places.size for s in found.values()):
            raise AutopeftError(
                f"The adapter in {self.folder} holds no update to compress: beside a new head it is where it started."
            )
        return found

    def expanded(self, signs: dict[str, Signs]) -> "dict[str, torch.Tensor]":
        """The adapter's tensors with every update replaced by its signs."""
        import torch

        tensors = dict(self.tensors)
        for group, names in self.groups.items():
            sizes = [self.starts[n].numel() for n in names]
            for name, update in zip(names, torch.from_numpy(signs[group].dense()).split(sizes)):
                start = self.starts[name].float()
                tensors[name] = (start + update.view_as(start)).to(self.tensors[name].dtype)
        return tensors


def write(saved: Saved, signs: dict[str, Signs], out: Path) -> dict[str, Any]:
    """Write the compact file and the adapter folder in one go.

    Args:
        saved: the adapter.
        signs: the compressed update of each group.
        out: the folder, replaced whole.

    Returns:
        Parameters, bits per parameter, entropy in bits, and the bytes before and after.
    """
    import safetensors.torch
    import torch

    config = (saved.folder / "adapter_config.json").read_text(encoding="utf-8")
    layout = zlib.compress(json.dumps({"config": config, "groups": saved.groups, "origin": saved.origin}).encode(), 9)
    packed = {"layout": torch.from_numpy(as_bytes(layout).copy())}
    for group, one in signs.items():
        packed |= {f"{group}.{k}": torch.from_numpy(np.array(v)) for k, v in one.pack().items()}
    coded = sum(t.nbytes for name, t in packed.items() if name != "layout")
    coded_names = {n for names in saved.groups.values() for n in names}
    kept = {n: t for n, t in saved.tensors.items() if n not in coded_names and not torch.equal(t, saved.starts[n])}
    with whole_folder(out) as folder:
        (folder / "adapter_config.json").write_text(config, encoding="utf-8")
        metadata = {"format": "pt"}
        safetensors.torch.save_file(saved.expanded(signs), folder / "adapter_model.safetensors", metadata)
        safetensors.torch.save_file(packed | {f"kept.{n}": t for n, t in kept.items()}, folder / FILE, metadata)
    size, places = sum(s.size for s in signs.values()), sum(s.places.size for s in signs.values())
    return {
        "parameters": size,
        "kept": sum(t.numel() for t in kept.values()),
        "bits_per_parameter": 8 * coded / size,
        "entropy": entropy(places / size) if places < size else 1.0,
        "bytes_before": (saved.folder / "adapter_model.safetensors").stat().st_size,
        "bytes_after": (out / FILE).stat().st_size,
    }


def expand(file: str | Path, backbone: "Backbone", out: str | Path) -> Path:
    """A compact file -> the adapter folder that it stands for.

    Args:
        file: compressed.safetensors.
        backbone: the one that the adapter was trained on, of `load_backbone`.
        out: where the folder is written.
    """
    import safetensors.torch
    import torch

    packed = safetensors.torch.load_file(file)
    layout = json.loads(zlib.decompress(packed.pop("layout").numpy().tobytes()))
    with whole_folder(Path(out)) as folder:
        (folder / "adapter_config.json").write_text(layout["config"], encoding="utf-8")
        tensors, _ = references(backbone, folder, layout["origin"])
        tensors |= {n.removeprefix("kept."): t for n, t in packed.items() if n.startswith("kept.")}
        for group, names in layout["groups"].items():
            sizes = [tensors[n].numel() for n in names]
            parts = {k: packed[f"{group}.{k}"].numpy() for k in ("mask", "signs", "scale")}
            update = torch.from_numpy(Signs.unpack(parts, sum(sizes)).dense())
            for name, part in zip(names, update.split(sizes)):
                tensors[name] = tensors[name] + part.view_as(tensors[name])
        safetensors.torch.save_file(tensors, folder / "adapter_model.safetensors", {"format": "pt"})
    return Path(out)


def references(
    backbone: "Backbone", folder: Path, origin: dict[str, Any] | None = None
) -> "tuple[dict[str, torch.Tensor], set[str]]":
    """(name -> where the tensor starts, names of the trained tensors) of an adapter's config on a backbone.

    Without its origin it is built with two seeds: where they agree the start is known, elsewhere it is drawn and 0
    stands for it.

    Args:
        backbone: the resident model, unchanged afterwards.
        folder: the adapter's folder.
        origin: its configuration and seed, if `autopeft train` saved it.
    """
    import torch
    from peft import PeftConfig, get_peft_model, get_peft_model_state_dict

    from autopeft.configuration import Configuration
    from autopeft.methods.mechanisms.attach import Resident, attached

    def state_of(model: "nn.Module") -> tuple[dict, set[str]]:
        trained = {p.data_ptr() for p in model.parameters() if p.requires_grad}
        state = get_peft_model_state_dict(model)
        return {n: t.clone() for n, t in state.items()}, {n for n, t in state.items() if t.data_ptr() in trained}

    if origin:
        with attached(Configuration.from_json(origin["configuration"]), backbone, origin["seed"]) as model:
            return state_of(model)
    built = []
    for seed in (0, 1):
        config = PeftConfig.from_pretrained(str(folder))
        config.inference_mode = False
        resident = Resident(backbone.model, values=True)
        try:
            with torch.random.fork_rng(devices=[]):
                torch.random.default_generator.manual_seed(seed)
                built.append(state_of(get_peft_model(backbone.model, config)))
        finally:
            resident.restore()
    (one, names), (other, _) = built
    return {n: t if torch.equal(t, other[n]) else torch.zeros_like(t) for n, t in one.items()}, names


def origin_of(folder: Path) -> dict[str, Any] | None:
    """Configuration and seed of an adapter that `autopeft train` saved; None where they do not give its start again."""
    from autopeft.configuration import Configuration
    from autopeft.methods import get_method

    try:
        scores = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
        origin = {"configuration": scores["configuration"], "seed": scores["seed"]}
    except (OSError, ValueError, KeyError):
        return None
    methods = map(get_method, Configuration.from_json(origin["configuration"]).methods)
    return None if any(method.needs_statistics for method in methods) else origin


def own_name(name: str) -> str:
    """A saved tensor's name without peft's prefix."""
    return name.removeprefix("base_model.").removeprefix("model.")
