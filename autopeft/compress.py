"""Compress a saved adapter to the signs of its largest updates: a compact file, and a folder that peft loads.

ComPEFT, Yadav et al. 2023, arXiv 2311.13171, algorithm 1: of the update tau the share `density` of largest magnitude is
kept, and every kept value becomes sign(tau) * alpha * std(tau).
"""

import json
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autopeft.base.errors import AutopeftError
from autopeft.base.progress import Progress
from autopeft.base.yaml_files import validated
from autopeft.configuration import Configuration

if TYPE_CHECKING:
    from autopeft.backbone.loading import Backbone
    from autopeft.export.mechanisms.compressed import Saved
    from autopeft.tasks.tokens import TokenisedTask

DENSITIES = (0.05, 0.1, 0.2, 0.3, 0.5)  # the paper's grid
ALPHAS = (0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
DENSITY, ALPHA = 0.2, 1.0  # where neither is given nor tuned


@dataclass(frozen=True)
class AdapterScores:
    """Score (the task's metric) and mean loss of an adapter on two splits, in fp32."""

    validation_score: float
    validation_loss: float
    test_score: float
    test_loss: float


@dataclass(frozen=True)
class Compressed:
    """What a compression came to; compress.json holds the same.

    Attributes:
        adapter: The adapter's folder.
        folder: The compressed adapter's folder.
        density: The share of the update that is kept.
        alpha: The size of what is kept, in standard deviations of the update.
        parameters: How many were compressed.
        kept: How many more are stored as they are, of the new head and others.
        bits_per_parameter: Of the compressed ones.
        entropy: The bits per parameter below which no code can be at this density.
        bytes_before: Size of the adapter's weights on disk.
        bytes_after: Size of the compact file.
        metric: The task's metric, None without a study.
        before: The scores of the adapter, None without a study.
        after: Those of the compressed adapter.
    """

    adapter: Path
    folder: Path
    density: float
    alpha: float
    parameters: int
    kept: int
    bits_per_parameter: float
    entropy: float
    bytes_before: int
    bytes_after: int
    metric: str | None
    before: AdapterScores | None
    after: AdapterScores | None

    def to_json(self) -> dict[str, Any]:
        """All fields, as what JSON can hold."""
        return asdict(self) | {"adapter": str(self.adapter), "folder": str(self.folder)}


def compress(
    adapter: str | Path,
    density: float | None = None,
    alpha: float | None = None,
    tune: bool = False,
    study: str | Path | None = None,
    out: str | Path | None = None,
    progress: Progress | None = None,
    trust_remote_code: bool = False,
) -> Compressed:
    """Compress a saved adapter to the signs of its largest updates (ComPEFT).

    Args:
        adapter: The folder that `autopeft.train` or peft's save_pretrained wrote.
        density: The share of the update that is kept, above 0 and at most 1 (0.2 by default).
        alpha: The size of what is kept, in standard deviations of the update (1 by default).
        tune: Choose what is not given of the two on the validation split; ties go to the lower density.
        study: Whose validation and test rows are scored; the study folder around the adapter by default. Without one
            nothing is scored.
        out: The compressed adapter's folder; ADAPTER-compressed by default.
        progress: Where the scores of `tune` are printed; nowhere by default.
        trust_remote_code: Run Python code that comes with the study's model.

    Returns:
        Density, alpha, sizes, and the scores before and after.

    Raises:
        AutopeftError: The folder holds no adapter, a number makes no sense, or there is no study to tune on.

    Examples:
        The adapter of a short training of the built-in model and data:

        >>> import autopeft
        >>> trained = autopeft.train("runs/small", steps=2, out="to-compress")
        >>> compressed = autopeft.compress(trained.folder, density=0.1)
        >>> compressed.density, compressed.bytes_after < compressed.bytes_before
        (0.1, True)
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
    backbone, tokenised, metric = rows_of(study, trust_remote_code) if study else (backbone_of(folder), None, None)
    saved = Saved.read(folder, backbone)
    before = scores(backbone, folder, tokenised, saved.origin)
    chosen = density or DENSITY, alpha or ALPHA
    if tune and tokenised is not None:
        chosen = tuned(saved, backbone, density, alpha, tokenised, progress)
    sizes = write(saved, saved.signs(*chosen), out)
    after = scores(backbone, out, tokenised, saved.origin)
    result = Compressed(folder, out, *chosen, **sizes, metric=metric, before=before, after=after)
    (out / "compress.json").write_text(json.dumps(result.to_json(), indent=1) + "\n", encoding="utf-8")
    return result


def check(folder: Path, out: Path, density: float | None, alpha: float | None) -> None:
    """Check the adapter, the numbers and the folder to be written.

    Args:
        folder: the saved adapter's folder.
        out: the folder to be written.
        density: the share of the update to keep, None if it is to be tuned.
        alpha: the scale in standard deviations of the update, None if it is to be tuned.

    Raises:
        AutopeftError: there is no adapter, it is damaged, a number makes no sense, or `out` holds something else.
    """
    from safetensors import SafetensorError, safe_open

    if not (folder / "adapter_config.json").is_file() or not (folder / "adapter_model.safetensors").is_file():
        raise AutopeftError(
            f"{folder} holds no saved adapter (adapter_config.json and adapter_model.safetensors): give the folder "
            "that 'autopeft train' or peft's save_pretrained wrote."
        )
    try:
        config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
        if imports := [key for key in ("auto_mapping", "megatron_config") if config.get(key)]:
            raise AutopeftError(
                f"The adapter in {folder} names code to import ({imports[0]} in its adapter_config.json), which autopeft does not."
            )
        with safe_open(folder / "adapter_model.safetensors", "numpy"):
            pass
    except (ValueError, AttributeError, SafetensorError):
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


def tuned(
    saved: "Saved",
    backbone: "Backbone",
    density: float | None,
    alpha: float | None,
    tokenised: "TokenisedTask",
    progress: Progress,
) -> tuple[float, float]:
    """Choose (density, alpha) of the grid by validation score; ties go to the lower density, then to the lower loss.

    Args:
        saved: The adapter.
        backbone: That it belongs to.
        density: Fixed, or None to choose it.
        alpha: Fixed, or None to choose it.
        tokenised: Whose validation split is scored.
        progress: Where each score is printed.
    """
    from peft.utils import set_peft_model_state_dict

    from autopeft.proxy.scoring import evaluate
    from autopeft.train.saved import loaded

    densities, alphas = [density] if density else DENSITIES, [alpha] if alpha else ALPHAS
    scored = []
    with loaded(backbone, saved.folder, *start_of(saved.origin)) as model:
        for number, (k, a) in enumerate(product(densities, alphas), start=1):
            set_peft_model_state_dict(model, saved.expanded(saved.signs(k, a)))
            loss, score = evaluate(model, tokenised.validation, tokenised)
            scored.append((score, -k, -loss, (k, a)))
            progress.note(f"[{number}/{len(densities) * len(alphas)}] density {k:g}, alpha {a:g}: {score:.4f}")
    return max(scored)[-1]


def scores(
    backbone: "Backbone", folder: Path, tokenised: "TokenisedTask | None", origin: dict[str, Any] | None
) -> AdapterScores | None:
    """Score a saved adapter; None without a study.

    Args:
        backbone: That it belongs to.
        folder: The adapter's.
        tokenised: The study's data.
        origin: Configuration and seed of the adapter where they are known.
    """
    from autopeft.proxy.scoring import evaluate
    from autopeft.train.saved import loaded

    if tokenised is None:
        return None
    with loaded(backbone, folder, *start_of(origin)) as model:
        validation_loss, validation_score = evaluate(model, tokenised.validation, tokenised)
        test_loss, test_score = evaluate(model, tokenised.test, tokenised)
    return AdapterScores(validation_score, validation_loss, test_score, test_loss)


def start_of(origin: dict[str, Any] | None) -> tuple[Configuration, int] | tuple[()]:
    """(configuration, seed) of an adapter that says what it is, else nothing."""
    return (Configuration.from_json(origin["configuration"]), origin["seed"]) if origin else ()


def rows_of(study: Path, trust_remote_code: bool) -> "tuple[Backbone, TokenisedTask, str]":
    """(backbone, tokenised task, metric) of a study folder. Raises AutopeftError if it holds none."""
    from autopeft.backbone.loading import load_backbone
    from autopeft.prepare import prepare
    from autopeft.study.folder import StudyFolder
    from autopeft.study.spec import StudySpec
    from autopeft.study.trust import check_trusted
    from autopeft.tasks.tokens import tokenise

    asked = validated(StudySpec, StudyFolder(study).read().get("spec", {}), f"the study in {study}")
    check_trusted(asked.trust_remote_code, trust_remote_code, f"The study in {study}")
    prepared = prepare(asked)
    spec, task = prepared.spec, prepared.task
    words = spec.words(task.label_names)
    backbone = load_backbone(
        spec.model, task.outputs, trust_remote_code=spec.trust_remote_code, words=words, kind=task.kind
    )
    return backbone, tokenise(task, backbone.tokenizer, spec.max_length, spec.pattern), task.metric


def backbone_of(folder: Path) -> "Backbone":
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
