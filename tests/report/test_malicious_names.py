"""Names that are made to be taken for markup, a script or a formula: they are names in the page, the tables and the terminal."""

import csv
from dataclasses import replace
from html.parser import HTMLParser
from io import StringIO

import pytest
from made_up import OUTCOMES, TRACE, TRIALS, WHOLE, lora
from rich.console import Console

from autopeft import AutopeftError
from autopeft.base.errors import printable
from autopeft.report.files import write_report
from autopeft.report.terminal import print_front

EVIL = (
    "<script>alert(1)</script><img src=x onerror=alert(2)>\"' onmouseover=alert(3) </pre></script><svg/onload=alert(4)>"
)


class Page(HTMLParser):
    """The scripts of a page and whatever runs code beside them."""

    def __init__(self, text):
        super().__init__()
        self.scripts, self.inside, self.odd = [], False, []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.inside = tag == "script"
        self.scripts += [""] if self.inside else []
        self.odd += [(tag, a) for a in attributes if a[0].startswith("on") or (a[1] or "").startswith("javascript:")]
        self.odd += [(tag,)] if tag in ("img", "svg", "iframe", "object", "embed", "link", "base", "form") else []

    def handle_endtag(self, tag):
        self.inside = False

    def handle_data(self, data):
        if self.inside:
            self.scripts[-1] += data


def named(text):
    """A study in which everything that a user or a study may name is called so."""
    setting = replace(lora(4), settings=(("rank", 4), ("target_modules", text)))
    trials = [replace(t, configuration=replace(setting, learning_rate=t.number + 1), reason=text) for t in TRIALS]
    outcomes = [replace(o, name=o.name if o.role == "baseline" else f"{o.name} {text}") for o in OUTCOMES]
    task = {**WHOLE.task, "name": text, "classes": [text, "b"], "notes": [text], "metric": text}
    spec = {**WHOLE.spec, "model": text, "data": text, "text": text, "label": text, "pattern": text}
    environment = {**WHOLE.environment, text: text, "versions": {text: text}}
    scores = replace(TRACE, scorer=text, warning=text)
    return replace(WHOLE, folder=text, task=task, spec=spec, trials=tuple(trials), outcomes=tuple(outcomes), scores=scores,
                   environment=environment)  # fmt: skip


def test_names_in_the_page(tmp_path):
    """Read as a browser reads it: as many scripts as with plain names, none with ours in it, and no attribute that runs."""
    write_report(named(EVIL), tmp_path)
    page = Page((tmp_path / "report.html").read_text())
    write_report(named("plain"), tmp_path)
    plain = Page((tmp_path / "report.html").read_text())
    assert len(page.scripts) == len(plain.scripts) > 2 and page.odd == plain.odd == []
    own = [script for script in page.scripts if "plotly.js v" not in script]
    assert not any("<script" in script or "<img" in script or "</" in script for script in own)
    assert Page("<p onclick=x()><img>").odd == [("p", ("onclick", "x()")), ("img",)]


def test_names_in_the_terminal():
    """Square brackets and colons are names there, not markup; and a name cannot steer the terminal."""
    out = StringIO()
    print_front(named("[/b][link=http://x]:smile:"), Console(file=out))
    assert "[/b]" in out.getvalue()
    assert str(AutopeftError("no column '\x1b[2J\n'")) == "no column '\\x1b[2J\\n'"


FORMULAS = [
    '=HYPERLINK("http://x")',
    "+cmd|' /C calc'!A0",
    "-1+1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    " =1",
    "\uff1d1",
]


@pytest.mark.parametrize("formula", FORMULAS)
def test_formulas_in_csv_files(tmp_path, formula):
    """No cell and no column's name begins as a formula; numbers are numbers as before."""
    write_report(named(formula), tmp_path)
    for name in ("front.csv", "trials.csv"):
        rows = list(csv.reader((tmp_path / name).open(newline="")))
        cells = [cell for row in rows for cell in row if cell]
        texts = [cell for cell in cells if not is_number(cell)]
        assert not [t for t in texts if t.lstrip()[:1] in "=+-@\uff1d"] and any(printable(formula) in t for t in texts)
    front = list(csv.DictReader((tmp_path / "front.csv").open(newline="")))
    assert [int(row["trainable"]) for row in front] == sorted(o.trainable for o in OUTCOMES)


def is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True
