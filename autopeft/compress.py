"""A saved adapter -> the signs of its largest updates: a compact file, and an adapter folder that peft loads.

ComPEFT, Yadav et al. 2023, arXiv 2311.13171. The update of an adapter that `autopeft train` saved is measured from its
very start, which configuration and seed give again. Of any other adapter the seed is not known: its update is measured
from what the constructor gives whatever the seed (1 for (IA)^3's vectors, 0 for LoRA's B, the backbone's own numbers for
modules trained in a copy) and from 0, as in the paper, where the constructor draws (LoRA's A); head parameters that the
checkpoint lacks are then kept as they are. The method's parameters and the head's each have a scale of their own, since
they learn at different rates.
"""

import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from autopeft.errors import AutopeftError
from autopeft.progress import Progress

DENSITIES = (0.05, 0.1, 0.2, 0.3, 0.5)  # the paper's grid
ALPHAS = (0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
DENSITY, ALPHA = 0.2, 1.0  # where neither is given nor tuned
FILE = "compressed.safetensors"


def compress(
    adapter: str | Path,
    density: float | None = None,
    alpha: float | None = None,
    tune: bool = False,
    study: str | Path | None = None,
    out: str | Path | None = None,
    progress: Progress | None = None,
) -> dict:
    """Compress an adapter folder into `out` and return density, alpha, sizes and the scores before and after.

    study: whose validation and test rows are scored; the study folder around the adapter by default, without one
    nothing is scored. tune: choose what is not given of (density, alpha) on the validation split; ties go to the lower
    density. Raises AutopeftError on bad input.
    """
    folder, progress = Path(adapter), progress or Progress(quiet=True)
    out = Path(out) if out else folder.with_name(f"{folder.name}-compressed")
    check(folder, out, density, alpha)
    study = Path(study) if study else study_around(folder)
    if tune and study is None:
        raise AutopeftError(
            f"{folder} lies in no study folder, so there is no validation split to tune on: name one with --study, "
            "or leave --tune out."
        )
    if study:
        backbone, tokenised, metric = rows_of(study)
    else:
        backbone, tokenised, metric = backbone_of(folder), None, None
    saved = Saved.read(folder, backbone)
    before = scores(backbone, folder, tokenised)
    chosen = saved.tuned(density, alpha, tokenised, progress) if tune else (density or DENSITY, alpha or ALPHA)
    signs = saved.signs(*chosen)
    result = {
        "adapter": str(folder),
        "folder": str(out),
        "density": chosen[0],
        "alpha": chosen[1],
        **write(saved, signs, out),
        "metric": metric,
        "before": before,
        "after": scores(backbone, out, tokenised),
    }
    (out / "compress.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return result


def check(folder: Path, out: Path, density: float | None, alpha: float | None) -> None:
    """Raise AutopeftError unless the folder holds an adapter and the numbers make sense."""
    from safetensors import SafetensorError, safe_open

    if not (folder / "adapter_config.json").is_file() or not (folder / "adapter_model.safetensors").is_file():
        raise AutopeftError(
            f"{folder} holds no saved adapter (adapter_config.json and adapter_model.safetensors): give the folder that "
            "'autopeft train' or peft's save_pretrained wrote."
        )
    try:
        json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
        with safe_open(folder / "adapter_model.safetensors", "numpy"):
            pass
    except (ValueError, SafetensorError):
        raise AutopeftError(f"The adapter in {folder} is damaged: save or copy it again.") from None
    if density is not None and not 0 < density <= 1:
        raise AutopeftError(f"The density is {density:g}: give the share of the update to keep, above 0 and at most 1.")
    if alpha is not None and not 0 < alpha < float("inf"):
        raise AutopeftError(f"alpha is {alpha:g}: give a number above 0, times the standard deviation of the update.")
    if out.resolve() == folder.resolve():
        raise AutopeftError(f"The compressed adapter would replace {folder} itself: choose another folder with --out.")
    if out.exists() and not (out / FILE).is_file():
        raise AutopeftError(f"{out} exists and holds no compressed adapter: choose another folder with --out.")


def study_around(folder: Path) -> Path | None:
    """The nearest folder above that holds a study."""
    return next((p for p in folder.resolve().parents if (p / "study.json").is_file()), None)


@dataclass
class Saved:
    """A saved adapter, the backbone it belongs to, and what each of its tensors is measured from."""

    folder: Path
    backbone: object
    tensors: dict  # name -> tensor, as peft saved them
    starts: dict  # name -> tensor that its update is measured from
    groups: dict[str, list[str]]  # "method" and "head" -> the names that share a scale; the rest is kept as it is
    origin: dict | None  # what `autopeft train` says of the start: configuration and seed

    @classmethod
    def read(cls, folder: Path, backbone) -> "Saved":
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

    def signs(self, density: float, alpha: float) -> dict:
        """The compressed update of each group. Raises AutopeftError when nothing was learnt."""
        import torch

        from autopeft.export.signs import Signs

        found = {}
        for group, names in self.groups.items():
            update = torch.cat([(self.tensors[n].float() - self.starts[n].float()).flatten() for n in names]).numpy()
            found[group] = Signs.of(update, density, alpha)
        if not any(s.places.size for s in found.values()):
            raise AutopeftError(
                f"The adapter in {self.folder} holds no update to compress: beside a new head it is where it started."
            )
        return found

    def expanded(self, signs: dict) -> dict:
        """The adapter's tensors with every update replaced by its signs."""
        import torch

        tensors = dict(self.tensors)
        for group, names in self.groups.items():
            sizes = [self.starts[n].numel() for n in names]
            for name, update in zip(names, torch.from_numpy(signs[group].dense()).split(sizes)):
                start = self.starts[name].float()
                tensors[name] = (start + update.view_as(start)).to(self.tensors[name].dtype)
        return tensors

    def tuned(self, density: float | None, alpha: float | None, tokenised, progress: Progress) -> tuple[float, float]:
        """The (density, alpha) of the grid with the best validation score; ties go to the lower density, then loss."""
        from peft.utils import set_peft_model_state_dict

        from autopeft.proxy.training import evaluate

        densities, alphas = [density] if density else DENSITIES, [alpha] if alpha else ALPHAS
        scored = []
        with loaded(self.backbone, self.folder) as model:
            for number, (k, a) in enumerate(product(densities, alphas), start=1):
                set_peft_model_state_dict(model, self.expanded(self.signs(k, a)))
                loss, score = evaluate(model, tokenised.validation, tokenised)
                scored.append((score, -k, -loss, (k, a)))
                progress.note(f"[{number}/{len(densities) * len(alphas)}] density {k:g}, alpha {a:g}: {score:.4f}")
        return max(scored)[-1]


@contextmanager
def loaded(backbone, folder: Path) -> Iterator:
    """A saved adapter on its backbone as a user loads it, for the length of a with block."""
    from peft import PeftModel

    from autopeft.methods.attach import Resident
    from autopeft.proxy.precision import device

    resident = Resident(backbone.model, values=True)
    try:
        yield PeftModel.from_pretrained(backbone.model, str(folder)).to(device()).eval()
    finally:
        resident.restore()


def scores(backbone, folder: Path, tokenised) -> dict | None:
    """Score and loss of a saved adapter on the validation and the test split, in fp32; None without a study."""
    from autopeft.proxy.training import evaluate

    if tokenised is None:
        return None
    found = {}
    with loaded(backbone, folder) as model:
        for part in ("validation", "test"):
            loss, score = evaluate(model, getattr(tokenised, part), tokenised)
            found |= {f"{part}_score": score, f"{part}_loss": loss}
    return found


def own_name(name: str) -> str:
    """A saved tensor's name without peft's prefix."""
    return name.removeprefix("base_model.").removeprefix("model.")


def origin_of(folder: Path) -> dict | None:
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


def references(backbone, folder: Path, origin: dict | None = None) -> tuple[dict, set[str]]:
    """(name -> where the tensor starts, names of the trained tensors) of an adapter's config on a backbone.

    Without its origin it is built with two seeds: where they agree the start is known, elsewhere it is drawn and 0
    stands for it.
    """
    import torch
    from peft import PeftConfig, get_peft_model, get_peft_model_state_dict

    from autopeft.configuration import Configuration
    from autopeft.methods.attach import Resident, attached

    def state_of(model) -> tuple[dict, set[str]]:
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


def rows_of(study: Path) -> tuple:
    """(backbone, tokenised task, metric) of a study folder. Raises AutopeftError if it holds none."""
    from autopeft.backbone.loading import load_backbone
    from autopeft.prepare import prepare
    from autopeft.study.folder import StudyFolder
    from autopeft.study.spec import StudySpec
    from autopeft.tasks.tokens import tokenise

    prepared = prepare(StudySpec(**StudyFolder(study).read()["spec"]))
    spec, task = prepared.spec, prepared.task
    words = spec.words(task.label_names)
    backbone = load_backbone(spec.model, len(task.label_names), trust_remote_code=spec.trust_remote_code, words=words)
    return backbone, tokenise(task, backbone.tokenizer, spec.max_length, spec.pattern), spec.metric


def backbone_of(folder: Path):
    """The backbone that the adapter's config names, with as many classes as the saved head has."""
    from safetensors.torch import load_file

    from autopeft.backbone.loading import load_backbone

    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    if config.get("task_type") != "SEQ_CLS" or not config.get("base_model_name_or_path"):
        raise AutopeftError(
            f"The adapter in {folder} is of no named sequence classifier (task_type {config.get('task_type')}, base "
            f"model {config.get('base_model_name_or_path')}): only those are compressed."
        )
    tensors = load_file(folder / "adapter_model.safetensors")
    found = [n for n in sorted(tensors) if own_name(n).startswith(("score.", "classifier."))]
    if not found:
        raise AutopeftError(f"The adapter in {folder} holds no classification head, so its classes are not known.")
    return load_backbone(config["base_model_name_or_path"], tensors[found[-1]].shape[0])


def write(saved: Saved, signs: dict, out: Path) -> dict:
    """Write the compact file and the adapter folder in one go; the sizes of what is written."""
    import numpy as np
    import safetensors.torch
    import torch

    from autopeft.export.signs import as_bytes, entropy
    from autopeft.train import whole_folder

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


def expand(file: str | Path, backbone, out: str | Path) -> Path:
    """A compact file -> the adapter folder it stands for; backbone: the one it was trained on (`load_backbone`)."""
    import safetensors.torch
    import torch

    from autopeft.export.signs import Signs
    from autopeft.train import whole_folder

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
