"""The task's metric: what `--objectives metric` stands for once the task is known."""

from autopeft.objectives.objective import Scored

METRIC = "metric"  # the name that stands for it in a study


def metric_objective(metric: str) -> Scored:
    """The objective that maximises a metric of the task, under the metric's own name.

    Args:
        metric: one of the task's metrics, or "package.module:function".
    """
    return Scored(metric, metric, "maximize", reads="score", perplexity=metric == "log-likelihood")
