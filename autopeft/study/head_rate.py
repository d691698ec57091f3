"""The learning rate of the task head, the same for every method: by what the head alone wants on this task.

A head of many classes or tags learns nothing in a few hundred steps at the rate that suits two classes, and then no method
shows what it can. The head alone is trained at several rates on stored hidden states, which costs next to nothing. With
something adapted below it, it wants a lower rate (docs/numbers.md).
"""

from collections.abc import Mapping
from typing import Any

from autopeft.backbone.shapes import BackboneShapes
from autopeft.base.progress import Progress
from autopeft.configuration import Configuration
from autopeft.executor.workers import Workers
from autopeft.proxy.job import Job
from autopeft.study.spec import HEAD_SHARE, USUAL_HEAD_RATE, StudySpec
from autopeft.study.tuning import tuned_until

RATES = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)


def with_head_rate(
    spec: StudySpec, shapes: BackboneShapes, workers: Workers, stored: Mapping[str, Any] | None, progress: Progress
) -> StudySpec:
    """A study that knows the rate of its head; what trains it knows it too.

    Args:
        spec: the study, with its length.
        shapes: of its backbone, which may have no head.
        workers: that train it.
        stored: study.json of a study that is resumed, whose rate stays.
        progress: told the rate.
    """
    rate = spec.head_learning_rate
    if rate is None and stored:
        rate = stored["spec"]["head_learning_rate"]
    if rate is None:
        rate = chosen(spec, shapes, workers)
        progress.note(f"The task head learns at {rate:g}, a third of what it wants alone (--head-learning-rate).")
    workers.head_learning_rate = rate
    return spec.model_copy(update={"head_learning_rate": rate})


def chosen(spec: StudySpec, shapes: BackboneShapes, workers: Workers) -> float:
    """A third of the rate at which the head alone has the lowest validation loss after a quarter of the length."""
    if not shapes.head_modules:
        return USUAL_HEAD_RATE
    until = tuned_until(spec.steps, ())
    jobs = [Job(Configuration.of("head_only", {}, (), rate), spec.seed, spec.steps, until) for rate in RATES]
    losses = {n: result.curve.loss for n, result in workers.run(jobs) if result.curve}
    return float(f"{HEAD_SHARE * RATES[min(losses, key=lambda n: losses[n])]:.3g}") if losses else USUAL_HEAD_RATE
