"""A saved adapter -> the signs of its largest updates: a compact file, and an adapter folder that peft loads.

ComPEFT, Yadav et al. 2023, arXiv 2311.13171.
"""

import json
from itertools import product
from pathlib import Path

from autopeft.base.errors import AutopeftError
from autopeft.base.progress import Progress
from autopeft.configuration import Configuration

DENSITIES = (0.05, 0.1, 0.2, 0.3, 0.5)  # the paper's grid
ALPHAS = (0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
DENSITY, ALPHA = 0.2, 1.0  # where neither is given nor tuned


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
    from autopeft.export.mechanisms.compressed import Saved, write

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
    before = scores(backbone, folder, tokenised, saved.origin)
    chosen = tuned(saved, density, alpha, tokenised, progress) if tune else (density or DENSITY, alpha or ALPHA)
    signs = saved.signs(*chosen)
    result = {
        "adapter": str(folder),
        "folder": str(out),
        "density": chosen[0],
        "alpha": chosen[1],
        **write(saved, signs, out),
        "metric": metric,
        "before": before,
        "after": scores(backbone, out, tokenised, saved.origin),
    }
    (out / "compress.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return result


def check(folder: Path, out: Path, density: float | None, alpha: float | None) -> None:
    """Raise AutopeftError unless the folder holds an adapter and the numbers make sense."""
    from safetensors import SafetensorError, safe_open

    if not (folder / "adapter_config.json").is_file() or not (folder / "adapter_model.safetensors").is_file():
        raise AutopeftError(
            f"{folder} holds no saved adapter (adapter_config.json and adapter_model.safetensors): give the folder "
            "that 'autopeft train' or peft's save_pretrained wrote."
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
    if out.exists() and not (out / "compressed.safetensors").is_file():
        raise AutopeftError(f"{out} exists and holds no compressed adapter: choose another folder with --out.")


def study_around(folder: Path) -> Path | None:
    """The nearest folder above that holds a study."""
    return next((p for p in folder.resolve().parents if (p / "study.json").is_file()), None)


def tuned(saved, density: float | None, alpha: float | None, tokenised, progress: Progress) -> tuple[float, float]:
    """The (density, alpha) of the grid with the best validation score; ties go to the lower density, then loss."""
    from peft.utils import set_peft_model_state_dict

    from autopeft.proxy.scoring import evaluate
    from autopeft.train.saved import loaded

    densities, alphas = [density] if density else DENSITIES, [alpha] if alpha else ALPHAS
    scored = []
    with loaded(saved.backbone, saved.folder, *start_of(saved.origin)) as model:
        for number, (k, a) in enumerate(product(densities, alphas), start=1):
            set_peft_model_state_dict(model, saved.expanded(saved.signs(k, a)))
            loss, score = evaluate(model, tokenised.validation, tokenised)
            scored.append((score, -k, -loss, (k, a)))
            progress.note(f"[{number}/{len(densities) * len(alphas)}] density {k:g}, alpha {a:g}: {score:.4f}")
    return max(scored)[-1]


def scores(backbone, folder: Path, tokenised, origin: dict | None) -> dict | None:
    """Score and loss of a saved adapter on the validation and the test split, in fp32; None without a study."""
    from autopeft.proxy.scoring import evaluate
    from autopeft.train.saved import loaded

    if tokenised is None:
        return None
    found = {}
    with loaded(backbone, folder, *start_of(origin)) as model:
        for part in ("validation", "test"):
            loss, score = evaluate(model, getattr(tokenised, part), tokenised)
            found |= {f"{part}_score": score, f"{part}_loss": loss}
    return found


def start_of(origin: dict | None) -> tuple:
    """(configuration, seed) of an adapter that tells them, else nothing."""
    return (Configuration.from_json(origin["configuration"]), origin["seed"]) if origin else ()


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
    backbone = load_backbone(
        spec.model, task.outputs, trust_remote_code=spec.trust_remote_code, words=words, kind=task.kind
    )
    return backbone, tokenise(task, backbone.tokenizer, spec.max_length, spec.pattern), task.metric


def backbone_of(folder: Path):
    """The backbone that the adapter's config names, with as many classes as the saved head has."""
    from safetensors.torch import load_file

    from autopeft.backbone.loading import load_backbone
    from autopeft.export.mechanisms.compressed import own_name

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
