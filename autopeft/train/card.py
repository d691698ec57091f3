"""The model card of a trained adapter: Hugging Face's metadata, scores, how to load it, how it was trained."""

from autopeft.base.errors import printable
from autopeft.export.mechanisms.toolkit import Case
from autopeft.export.peft import trained_by
from autopeft.methods import count, get_method
from autopeft.procedures import get_procedure
from autopeft.tasks.kind import TaskKind, kind_of
from autopeft.tasks.task import asked
from autopeft.train.trained import Trained
from autopeft.train.training import FullTraining

METRICS = {"accuracy": "accuracy", "macro-f1": "f1", "matthews": "matthews_correlation"}  # the Hub's names


def card(training: FullTraining, trained: Trained) -> str:
    """Write README.md.

    Args:
        training: What was trained.
        trained: What it came to.
    """
    return f"---\n{metadata(training, trained)}\n---\n\n{text(training, trained)}"


def metadata(training: FullTraining, trained: Trained) -> str:
    """The YAML block between the dashes."""
    from huggingface_hub import EvalResult, ModelCardData

    spec, data = training.spec, training.result.data.task["name"]
    tags = ["autopeft", "peft", *training.configuration.methods]
    if training.configuration.procedure != "plain":
        tags.append(training.configuration.procedure)
    result = EvalResult(
        task_type=trained_kind(training).pipeline_tag,
        dataset_type=data,
        dataset_name=data,
        dataset_split="test",
        metric_type=METRICS.get(training.metric, training.metric),
        metric_name=training.metric,
        metric_value=round(trained.test_score, 4),
    )
    return ModelCardData(
        base_model=spec.model,
        library_name="peft",
        pipeline_tag=trained_kind(training).pipeline_tag,
        tags=tags,
        datasets=[data],
        metrics=[METRICS.get(training.metric, training.metric)],
        model_name=f"{training.configuration.method} for {spec.model} on {data}",
        eval_results=[result],
    ).to_yaml()


def text(training: FullTraining, trained: Trained) -> str:
    """The page itself."""
    result, spec, configuration = training.result.data, training.spec, training.configuration
    task, trainable = result.task, count(training.configuration, result.shapes)
    methods = [get_method(m) for m in configuration.methods]
    case = Case.of(result, training.name, configuration)
    rows = {
        "method": f"{', '.join(m.title for m in methods)} ({'; '.join(m.paper for m in methods)})",
        "configuration": f"`{configuration}`",
        "trainable parameters": f"{trainable:,} ({result.percent(trainable):.3f} % of the backbone), and "
        f"{result.shapes.head_parameters:,} of the task head ({', '.join(result.shapes.head_modules)})",
        "learning rate": f"{configuration.learning_rate:g}, and {case.head_learning_rate:g} for the task "
        f"head; {100 * training.options.warmup:g} % linear warm-up, then {ENDS[training.options.schedule]}",
        "procedure": trained_by(case),
        "optimiser": get_procedure(configuration.procedure).stepping,
        "batch size": f"{training.batch_size}{in_parts(trained)}",
        "steps": f"{trained.stopped_at:,} of {training.steps:,} ({trained.epochs:g} epochs); the weights are those "
        f"of step {trained.kept_step:,}",
        "seed": training.seed,
        "longest text": f"{spec.max_length} tokens" + (f", ended by `{spec.pattern}`" if spec.pattern else ""),
        **{name: f"{value:.6g}" for name, value in task.get("facts", {}).items()},
        "frozen backbone": "evaluation mode: its dropout is off"
        + (f"; its linears are rounded to {training.options.quantize}" if training.options.quantize else ""),
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    return f"""# {training.name}: {configuration.method} for {printable(spec.model)}

Found by autopeft on {printable(task["name"])} ({task["train"]:,} training rows, {asked(task)}) and trained in full.

Test {training.metric} **{trained.test_score:.4f}** on {task["test"]:,} rows, validation {trained.validation_score:.4f}; the curve is in curve.csv.

## Use

```python
{usage(training)}
```
{note(training)}
## Training

| | |
|---|---|
{table}
"""


ENDS = {"linear": "linear decay to zero", "cosine": "a cosine to zero", "constant": "constant"}


def in_parts(trained: Trained) -> str:
    """How a step's rows were split, empty where they were not."""
    passes, processes = trained.accumulate, trained.processes
    said = f" in {passes} passes" if passes > 1 else ""
    return said + (f" on {processes} processes" if processes > 1 else "")


def usage(training: FullTraining) -> str:
    """The lines that load the adapter."""
    from autopeft.backbone.resolve import BUILTIN

    result, name, kind = training.result.data, training.spec.model, trained_kind(training)
    labels = f", num_labels={result.task.get('outputs', len(result.task['classes']))}" if kind.new_head else ""
    reader = "tokenizer" if kind.modality == "text" else "processor"
    padded = result.shapes.is_decoder and kind.modality == "text"
    model = f"resolve({name!r})" if name in BUILTIN else repr(name)
    bits = training.options.quantize
    imports = [
        "import autopeft  # registers the methods that peft does not have",
        "from autopeft.backbone.resolve import resolve  # a built-in model's folder" if name in BUILTIN else None,
        "from peft import PeftModel",
        f"from transformers import {kind.auto_model}, {kind.auto_processor}{', BitsAndBytesConfig' * bool(bits)}",
    ]
    lines = [
        f"{reader} = {kind.auto_processor}.from_pretrained({model})",
        f"rounded = BitsAndBytesConfig({QUANTISED[bits]}, llm_int8_skip_modules={list(result.shapes.head_modules)})"
        if bits
        else None,
        f"base = {kind.auto_model}.from_pretrained({model}{labels}"
        + (", quantization_config=rounded)" if bits else ")"),
        "tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token" if padded else None,
        "base.config.pad_token_id = tokenizer.pad_token_id" if padded else None,
        'model = PeftModel.from_pretrained(base, ".").eval()',
    ]
    return "\n\n".join("\n".join(line for line in part if line) for part in (imports, lines))


QUANTISED = {"4bit": 'load_in_4bit=True, bnb_4bit_quant_type="nf4"', "8bit": "load_in_8bit=True"}


def trained_kind(training: FullTraining) -> TaskKind:
    """The kind of the study's task."""
    return kind_of(training.result.data.task)


def note(training: FullTraining) -> str:
    """What these lines leave out."""
    if training.options.merge:
        return f'\n`merged/` is the whole model: `{trained_kind(training).auto_model}.from_pretrained("merged")`.\n'
    procedure = get_procedure(training.configuration.procedure)
    if procedure.changes_model:
        return (
            f"\nThe score is of the model as {procedure.title} changes it; the lines above load the adapter on the "
            "unchanged backbone.\n"
        )
    return ""
