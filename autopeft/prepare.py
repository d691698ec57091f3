"""StudySpec -> everything about a study that needs no weights; whatever can be refused is refused here."""

from dataclasses import dataclass, replace

from autopeft.backbone.positions import positions_in
from autopeft.backbone.shapes import BackboneShapes
from autopeft.base.checked import as_written
from autopeft.base.errors import AutopeftError
from autopeft.base.packages import Note, silent
from autopeft.costs.step import Step
from autopeft.importance.scores import LayerScores
from autopeft.objectives import Limit, Limits, Objectives, Setting
from autopeft.objectives.limits import parse_limit
from autopeft.objectives.parameters import PARAMETERS
from autopeft.space import SearchSpace, SpaceFile, build_space, load_space, parse_budget
from autopeft.study.folder import StudyFolder
from autopeft.study.length import with_length
from autopeft.study.spec import StudySpec
from autopeft.tasks.kind import DEFAULT
from autopeft.tasks.task import Task
from autopeft.uniform_lora import uniform_lora


@dataclass(frozen=True)
class Prepared:
    """Data, sizes, objectives, limits and space of a study."""

    spec: StudySpec
    task: Task
    shapes: BackboneShapes
    budget: int | None
    objectives: Objectives
    limits: Limits
    space_file: SpaceFile

    def space(self, scores: LayerScores | None = None) -> SearchSpace:
        """The search space on this backbone, with the layer scores once they are known."""
        return build_space(self.spec.space, self.space_file, self.shapes, self.limits, scores)


def prepare(spec: StudySpec, note: Note | None = None, space_file: SpaceFile | None = None) -> Prepared:
    """Load the data, count the backbone and check every name, objective and limit.

    Args:
        spec: the study.
        note: told what takes long.
        space_file: what its space may contain, if not what the file of that name holds now.

    Raises:
        AutopeftError: whatever can be refused without weights.
    """
    from autopeft.backbone.sizes import shapes_of
    from autopeft.importance import get_scorer
    from autopeft.study.sampler import check_sampler

    check_sampler(spec.sampler)
    if spec.importance != "none":
        get_scorer(spec.importance)
    space_file = space_file or load_space(spec.space)
    task, objectives = load_task_and_objectives(spec, note)
    spec = spec.model_copy(update={"task": task.kind.name, "metric": task.metric})
    spec = with_length(spec, len(task.train))
    shapes = shapes_of(spec.model, task.outputs, spec.trust_remote_code, task.kind)
    check_pattern(spec, task, shapes)
    check_length(spec, task)
    budget = parse_budget(spec.budget, shapes.backbone_parameters)
    prepared = Prepared(spec, task, shapes, budget, objectives, limits_of(spec, shapes, budget), space_file)
    prepared.space().affordable()
    return prepared


def prepare_in(study: StudyFolder, spec: StudySpec, note: Note = silent) -> Prepared:
    """Prepare a study for its folder: one that is there already goes on as it began.

    Args:
        study: the folder, which need not exist.
        spec: what is asked for.
        note: told what takes long, and where the study goes on with what it began with.

    Raises:
        AutopeftError: whatever can be refused without weights.
    """
    from autopeft.study.kept_space import kept_space
    from autopeft.study.length import as_stored

    if not study.exists:
        return prepare(spec, note)
    with as_written(study.path / "study.json", "restore it, or choose another folder with --out"):
        stored = study.read()
        asked, space = as_stored(spec, stored["spec"]), kept_space(stored, note)
    return prepare(asked, note, space)


def read_by_tokenizer(prepared: Prepared) -> Prepared:
    """The same, with what its model's tokenizer makes of the texts among the notes: the model itself is not loaded.

    Args:
        prepared: the study; of one that has no texts there is nothing to add.

    Raises:
        AutopeftError: there is no tokenizer, it knows too little of the texts, or they are too long.
    """
    from autopeft.backbone.loading import load_processor
    from autopeft.backbone.resolve import resolve
    from autopeft.tasks.token_checks import check_room, check_tokens
    from autopeft.tasks.tokens import tokenise

    spec, task = prepared.spec, prepared.task
    if task.kind.modality != "text":
        return prepared
    tokenizer = load_processor(spec.model, resolve(spec.model), spec.trust_remote_code, task.kind)
    tokenised = tokenise(task, tokenizer, spec.max_length, spec.pattern)
    check_tokens(tokenised)
    check_room(tokenised, positions_in(spec.model), prepared.shapes.vocab_size or None, spec.model)
    return replace(prepared, task=replace(task, notes=(*task.notes, *tokenised.notes)))


def load_task_and_objectives(spec: StudySpec, note: Note | None = None) -> tuple[Task, Objectives]:
    """Load the data and read the objectives; a metric named there is the task's. Raises AutopeftError."""
    from autopeft.tasks import load_task

    task = load_task(**spec.task_arguments(), note=note)
    named = [n for n in map(str.strip, spec.objectives.split(",")) if n in task.kind.metrics and n != task.metric]
    if named and spec.metric is not None:
        raise AutopeftError(
            f"The objectives name {named[0]} and the metric of the study is {spec.metric}: one metric can be maximised."
        )
    if named:
        task = load_task(**{**spec.task_arguments(), "metric": named[0]}, note=note)
    return task, Objectives.of(spec.objectives, task.metric)


def limits_of(spec: StudySpec, shapes: BackboneShapes, budget: int | None) -> Limits:
    """Read the budget and the other limits, counted at the study's batch size and longest text.

    Args:
        spec: the study.
        shapes: the backbone's sizes.
        budget: trainable parameters, None for no limit.

    Raises:
        AutopeftError: a limit cannot be read.
    """
    weight_bytes = 2 if spec.precision == "bf16" else 4
    step = Step(spec.batch_size, spec.max_length, weight_bytes=weight_bytes, stored_prefix=spec.prefix_bytes > 0)
    setting = Setting(shapes, step, uniform_lora(shapes, budget))
    found = [Limit(PARAMETERS, budget)] if budget is not None else []
    found += [parse_limit(text, setting) for text in spec.limit]
    names = [limit.objective.name for limit in found]
    if twice := next((n for n in names if names.count(n) > 1), None):
        raise AutopeftError(f"There are two limits on {twice}, the budget among them: give one.")
    return Limits(tuple(found), setting)


def check_length(spec: StudySpec, task: Task) -> None:
    """Refuse to cut texts at more tokens than the model has positions for, unless that is the default. AutopeftError."""
    positions = positions_in(spec.model) if task.kind.modality == "text" else None
    default = StudySpec.model_fields["max_length"].default
    if positions is not None and spec.max_length > max(positions, default):
        raise AutopeftError(
            f"--max-length {spec.max_length} is beyond the {positions} positions of {spec.model}: give at most {positions}."
        )


def check_pattern(spec: StudySpec, task: Task, shapes: BackboneShapes) -> None:
    """Refuse a pattern or verbalisers that do not fit the task or the model.

    Args:
        spec: the study.
        task: its data.
        shapes: the backbone's sizes.

    Raises:
        AutopeftError: the task is not classification, or the model is no decoder.
    """
    spec.words(task.label_names)
    if (spec.pattern or spec.verbalisers) and task.kind.name != DEFAULT:
        raise AutopeftError(
            f"A pattern and verbalisers are for classification, not for {task.kind.title}: leave them out."
        )
    if (spec.pattern or spec.verbalisers) and not shapes.is_decoder:
        raise AutopeftError(
            f"A pattern and verbalisers are for decoders, which continue a text, and {spec.model} is a "
            f"{shapes.model_type} encoder: leave them out."
        )
