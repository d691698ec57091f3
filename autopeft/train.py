"""Train a study's chosen configuration in full and keep it: safetensors, model card, test score."""

import json
from pathlib import Path

from autopeft.errors import AutopeftError
from autopeft.progress import Progress


def train(
    study: str | Path,
    which: str = "best",
    out: str | Path | None = None,
    steps: int | None = None,
    seed: int | None = None,
    progress: Progress | None = None,
) -> dict:
    """Train "best", "knee" or a trial's number and save it with peft; return its scores and the folder.

    The test score is that of the saved adapter, loaded anew on an fp32 backbone, so that whoever loads it gets it too.
    Raises AutopeftError on bad input or when the loss is no longer finite.
    """
    from autopeft.prepare import prepare
    from autopeft.proxy.job import Job
    from autopeft.result import Result
    from autopeft.study.spec import StudySpec
    from autopeft.workbench import open_workbench

    progress = progress or Progress(quiet=True)
    result = Result.open(study)
    name, configuration = result.choose(which)
    bench = open_workbench(prepare(StudySpec(**result.data.spec)), Path(study), progress)
    steps = steps or bench.spec.full_steps
    folder = Path(out or Path(study) / "adapters" / name.replace(" ", "-"))
    progress.note(f"Training {name}: {configuration} for {steps} steps.")
    job = Job(configuration, bench.spec.seed if seed is None else seed, steps, steps, (max(1, steps // 2),))
    (done,) = bench.trainer.run([job], keep=lambda model: save(model, folder))
    if done.failure:
        raise AutopeftError(f"The training of {name} failed: {done.failure}.")
    scores = score_saved(folder, bench)
    scores |= {
        "name": name,
        "configuration": configuration.to_json(),
        "seed": job.seed,
        "metric": bench.task.metric,
        "folder": str(folder),
        "validation_score": done.curve.validation_score[-1],
        "seconds": done.curve.seconds,
    }
    write_card(folder, result, name, configuration, scores)
    return scores


def save(model, folder: Path) -> None:
    """Save the adapter; a folder under that name is always whole."""
    from autopeft.study.folder import whole_folder

    with whole_folder(folder) as beside:
        model.save_pretrained(str(beside))


def score_saved(folder: Path, bench) -> dict:
    """Load the adapter as a user would and score the test split in fp32."""
    from peft import PeftModel

    from autopeft.backbone.loading import load_backbone
    from autopeft.methods import tuners  # noqa: F401  (registers our tuners)
    from autopeft.proxy.precision import device
    from autopeft.proxy.training import evaluate

    backbone = load_backbone(
        bench.spec.model, bench.task.outputs, trust_remote_code=bench.spec.trust_remote_code, task=bench.task.kind
    )
    model = PeftModel.from_pretrained(backbone.model, str(folder)).to(device()).eval()
    loss, score = evaluate(model, bench.tokenised.test, bench.tokenised)
    return {"test_loss": loss, "test_score": score}


def write_card(folder: Path, result, name: str, configuration, scores: dict) -> None:
    """README.md with Hugging Face's card metadata, and scores.json."""
    from autopeft.export.peft import readme
    from autopeft.study.folder import write_whole
    from autopeft.tasks.kind import get_kind

    kind = get_kind(result.data.task.get("kind", "classification"))
    metadata = (
        f"---\nlibrary_name: peft\nbase_model: {result.data.spec['model']}\npipeline_tag: {kind.pipeline_tag}\n---\n\n"
    )
    line = f"\nTest {scores['metric']} {scores['test_score']:.4f} on {result.data.task['test']:,} rows (validation {scores['validation_score']:.4f}).\n"
    write_whole(folder / "README.md", metadata + readme(result.data, name, configuration) + line)
    write_whole(folder / "scores.json", json.dumps(scores, indent=1) + "\n")
