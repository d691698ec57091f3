"""StudySpec -> everything about a study that needs no weights; whatever can be refused is refused here. Imports no torch."""

from dataclasses import dataclass

from autopeft.backbone.shapes import BackboneShapes
from autopeft.base.errors import AutopeftError
from autopeft.base.packages import Note
from autopeft.importance.scores import LayerScores
from autopeft.space import SearchSpace, build_space, load_space, parse_budget
from autopeft.study.spec import StudySpec
from autopeft.tasks.kind import DEFAULT
from autopeft.tasks.task import Task


@dataclass(frozen=True)
class Prepared:
    """Data, sizes and space of a study."""

    spec: StudySpec
    task: Task
    shapes: BackboneShapes
    budget: int | None

    def space(self, scores: LayerScores | None = None) -> SearchSpace:
        """The search space on this backbone, with the layer scores once they are known."""
        return build_space(self.spec.space, load_space(self.spec.space), self.shapes, self.budget, scores)


def prepare(spec: StudySpec, note: Note | None = None) -> Prepared:
    """Load the data, count the backbone and check every name and the budget. Raises AutopeftError."""
    from autopeft.backbone.sizes import shapes_of
    from autopeft.importance import get_scorer
    from autopeft.study.sampler import check_sampler
    from autopeft.tasks import load_task

    check_sampler(spec.sampler)
    if spec.importance != "none":
        get_scorer(spec.importance)
    load_space(spec.space)
    task = load_task(**spec.task_arguments(), note=note)
    spec = spec.model_copy(update={"task": task.kind.name, "metric": task.metric})
    shapes = shapes_of(spec.model, task.outputs, spec.trust_remote_code, task.kind)
    spec.words(task.label_names)
    if (spec.pattern or spec.verbalisers) and task.kind.name != DEFAULT:
        raise AutopeftError(
            f"A pattern and verbalisers are for classification, not for {task.kind.title}: leave them out."
        )
    if (spec.pattern or spec.verbalisers) and not shapes.is_decoder:
        raise AutopeftError(
            f"A pattern and verbalisers are for decoders, which go on from the text, and {spec.model} is a {shapes.model_type} "
            "encoder: leave them out."
        )
    prepared = Prepared(spec, task, shapes, parse_budget(spec.budget, shapes.backbone_parameters))
    prepared.space().affordable()
    return prepared
