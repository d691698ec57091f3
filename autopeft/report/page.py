"""StudyResult -> one self-contained HTML page: summary first, then figures, table and how it was made."""

import json
from html import escape
from pathlib import Path
from shlex import quote
from string import Template
from typing import Any

import optuna
import plotly.graph_objects as go
import plotly.offline

from autopeft.front import front_of, verdict
from autopeft.objectives import get_objective
from autopeft.report import figures, insight
from autopeft.report.chosen import chosen_note
from autopeft.report.per_budget import TITLE, budget_figure, budget_html
from autopeft.report.racing import racing_note
from autopeft.report.tables import front_columns, front_rows, intervals_note
from autopeft.study.records import StudyResult
from autopeft.tasks.task import asked

TRUSTED = "Python code that came with the model was run (--trust-remote-code)."


def page(result: StudyResult, study: optuna.Study | None = None) -> str:
    """The whole page as text; plotly's library is embedded once, nothing is fetched when it is opened."""
    template = Template((Path(__file__).parent / "page.html").read_text(encoding="utf-8"))
    body = "\n".join([summary(result), budgets(result), *sections(result, study), table(result), origin(result)])
    return template.substitute(
        title=escape(f"autopeft: {result.spec['model']} on {result.task['name']}"),
        plotly=plotly.offline.get_plotlyjs(),
        body=body,
    )


def summary(result: StudyResult) -> str:
    """What was asked, the verdict, the chosen configuration and the command that takes it away."""
    task, best = result.task, front_of(result).best()
    budget = limits_text(result)
    stopped = sum(t.state == "pruned" for t in result.trials)
    trials = f"{len(result.complete) + stopped} trials" + (f" ({stopped} pruned at a rung)" if stopped else "")
    text = (
        f"<h1>{escape(result.spec['model'])} on {escape(task['name'])}</h1><p>{asked(task)}, {task['train']:,} training, "
        f"{task['validation']:,} validation and {task['test']:,} test rows; {budget}; {trials} of "
        f"{result.configurations:,} configurations. Backbone {result.shapes.backbone_parameters:,} parameters; the task head "
        f"({escape(', '.join(result.shapes.head_modules))}, {result.shapes.head_parameters:,}) is trained by every method and counted apart. {escape(intervals_note(result))} {escape(racing_note(result))}</p>"
        f"<ul class=verdict>{''.join(f'<li>{escape(x)}</li>' for x in verdict(result).sentences)}</ul>"
    )
    if best:
        folder = quote(result.folder)
        commands = f"autopeft export {folder} --to peft\nautopeft train {folder}"
        text += f"<p>Chosen: <b>{escape(best.name)}</b>, {escape(str(best.configuration))}.</p><pre>{escape(commands)}</pre>"
    return text


def budgets(result: StudyResult) -> str:
    """The best per budget as a table, with a figure where there are several budgets."""
    rows, figure = budget_html(result), budget_figure(result)
    return f"<h2>{TITLE}</h2>{rows}{div(figure, 'budgets') if figure else ''}" if rows else ""


def limits_text(result: StudyResult) -> str:
    """The limits in words."""
    if not result.limits:
        return "no limit"
    objectives = {name: get_objective(name) for name in result.limits}
    return ", ".join(escape(f"at most {objectives[n].words(most)} ({n})") for n, most in result.limits.items())


def sections(result: StudyResult, study: optuna.Study | None) -> list[str]:
    """Every figure that the study has data for."""
    if not result.complete:
        return ["<p class=note>No trial has finished yet: run the search again to resume it.</p>"]
    front = front_of(result)
    parts = [
        f"<h2>Pareto front <span class=note>({escape(front.measured)}; bars: 95 % over seeds and test rows)</span></h2><div class=pair><div>"
        f"{fronts(result)}</div><div><p class=note>Click a point for its whole configuration.</p>"
        "<pre id=picked></pre></div></div>",
        f"<h2>Trials by method <span class=note>(validation, short runs)</span></h2>{div(figures.by_method(result), 'methods')}",
        f"<h2>Hypervolume over trials</h2>{div(figures.hypervolume_over_trials(result), 'hypervolume')}",
    ]
    if result.scores:
        warning = f"<p class=note>{escape(result.scores.warning)}</p>" if result.scores.warning else ""
        parts.append(f"<h2>Layer importance</h2>{warning}{div(insight.layers(result), 'layers')}")
    parts.append(f"<h2>Learning curves</h2>{div(insight.learning_curves(result), 'curves')}")
    if study is not None and len(result.complete) >= 4:
        parts.append(
            "<h2>Which dimension matters <span class=note>(PED-ANOVA over all objectives)</span></h2>"
            + div(insight.parameter_importances(study), "importances")
        )
    return parts


def fronts(result: StudyResult) -> str:
    """The quality against each other objective; of three and more objectives also all of them side by side."""
    objectives = result.objectives
    names = [f"pareto{i or ''}" for i in range(len(objectives.others))]
    drawn = [div(figures.pareto(result, o), name) for o, name in zip(objectives.others, names)]
    if len(objectives) > 2:
        drawn.append(div(figures.parallel(result), "parallel"))
    return "".join(drawn)


def div(figure: go.Figure, name: str) -> str:
    """A figure as a part of the page."""
    return figure.to_html(
        full_html=False, include_plotlyjs=False, div_id=name, config={"displaylogo": False, "responsive": True}
    )


def table(result: StudyResult) -> str:
    """All points, sortable by a click on a column's head."""
    rows = front_rows(result)
    columns = [c for c in front_columns(result.objectives) if c not in ("on_front", "role", "head")]
    head = "".join(f"<th>{escape(column.replace('_', ' '))}</th>" for column in columns)
    body = "".join(
        f"<tr{' class=member' if row['on_front'] else ''}>" + "".join(cell(row[c]) for c in columns) + "</tr>"
        for row in rows
    )
    return (
        "<h2>All points <span class=note>(shaded: on the front)</span></h2><div class=scroll><table class=sortable>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def cell(value: Any) -> str:
    """A table cell; numbers carry what they are sorted by."""
    if isinstance(value, int | float):
        text = (
            ""
            if value != value
            else f"{value:,}"
            if isinstance(value, int)
            else f"{value:,.4f}".rstrip("0").rstrip(".")
        )
        return f'<td class=n data-v="{value if value == value else -1e9}">{text}</td>'
    return f"<td>{escape(str(value))}</td>"


def origin(result: StudyResult) -> str:
    """Data notes, failures, versions, machine, seeds: what one needs to repeat it."""
    failed = [f"trial {t.number}: {t.reason}" for t in result.trials if t.state == "failed"]
    trusted = [TRUSTED] if result.spec.get("trust_remote_code") else []
    notes = "".join(f"<li>{escape(n)}</li>" for n in [*trusted, *result.task["notes"], *failed])
    facts = escape(json.dumps({"spec": result.spec, **result.environment}, indent=1))
    return f"<h2>How it was made</h2><p>{escape(chosen_note(result))}</p><ul>{notes}</ul><pre>{facts}</pre>"
