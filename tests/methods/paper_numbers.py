"""Parameter counts and ranks that papers and peft's benchmark state, beside ours for the same configuration and backbone.

    python tests/methods/paper_numbers.py > docs/paper_numbers.md

The rows are in paper_numbers.csv. One agrees when our count, rounded to the digits that the source gives, is the stated
number; one that does not says why in `differs`. A percentage is of all parameters, the adapter's own included, as peft
prints it. Heads are left out. The numbers of peft's benchmark are read from the table of its runs.
"""

import csv
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import groupby
from pathlib import Path

from paper_backbones import backbone
from paper_ranks import RANKS
from paper_ranks import line as rank_line

from autopeft.counting import configuration_of
from autopeft.methods import count

TABLE = Path(__file__).with_name("paper_numbers.csv")
PUBLISHED = Path(__file__).parents[2] / "studies" / "benchmarks" / "published" / "peft_metamathqa_runs.csv"
PEFT = "peft's benchmark"
UNITS = {"Mi": 2**20, "M": 10**6, "K": 1000, "%": 0.01, "": 1}


@dataclass(frozen=True)
class Row:
    source: str
    where: str  # table or section of the paper, or the run of the benchmark
    model: str  # a name of paper_backbones
    method: str  # a registered method, or several joined by "+"
    settings: str  # "rank=8; target_modules=query+value", as `autopeft count` takes them
    stated: str  # as the paper writes it: "0.3M", "294.9K", "24,000", "0.826%"; Mi where its M is 2^20
    note: str
    differs: str  # why our count is another one, or nothing

    @cached_property
    def ours(self) -> int:
        shapes, _ = backbone(self.model)
        given = dict(x.split("=") for x in self.settings.split("; ") if x)
        return count(configuration_of(self.method, given, shapes.num_layers), shapes)

    @cached_property
    def agrees(self) -> bool:
        number = self.stated.rstrip("MKi%").replace(",", "")
        unit = UNITS[self.stated.lstrip("0123456789.,")]
        ours = self.ours / (backbone(self.model)[1] + self.ours) if self.stated.endswith("%") else self.ours
        half = unit * 10.0 ** -len(number.partition(".")[2]) / 2
        return abs(ours - float(number) * unit) <= half * (1 + 1e-9)

    @property
    def line(self) -> str:
        words = "; ".join(x for x in (self.note, self.differs) if x)
        cells = [f"`{self.method}` {self.settings.replace('=', ' ').replace(';', ',')}", self.model, self.where]
        cells += [self.stated.removesuffix("i"), f"{self.ours:,}", "yes" if self.agrees else "**no**", words]
        return f"| {' | '.join(cells)} |"


@cache
def rows() -> tuple[Row, ...]:
    with TABLE.open(encoding="utf-8") as table, PUBLISHED.open(encoding="utf-8") as published:
        runs = {x["run"]: f"{int(x['trainable']):,}" for x in csv.DictReader(published)}
        given = list(csv.DictReader(table))
    return tuple(Row(**{**x, "stated": x["stated"] or runs[x["where"]]}) for x in given)


PAGE = """# Counts and ranks that others state

The trainable parameters that papers and peft's own benchmark state, beside what `autopeft count` gives for the same
configuration. Backbones are built from their published sizes, without weights.
`python tests/methods/paper_numbers.py` prints this page, `pytest tests/methods/test_paper_numbers.py` holds it, and a row
is a line of `tests/methods/paper_numbers.csv`.

**{number} numbers for {methods} methods: {agreeing} agree in every digit that is stated, {others} do not**, each with the
reason where one was found. Task heads are left out on both sides. A percentage is of all parameters, the adapter's own
included, as peft prints it. Where a paper gives no rank or length, the note says that we chose it.
Llama 2 has LLaMA's sizes and stands under its name. The papers were read as text; UniPELT's and DCFT's numbers come from
transcriptions of theirs.

Not here: the sparse methods (but SHiRA), LISA and HFT, whose share of trained entries or layers is a setting and nothing to compare;
of peft's benchmark the types that are not offered, second runs of the same count, and AdaLoRA's (it starts at twice the
final rank, ours at 1.5 times, as in the paper at rank 8). For the other methods none was found.
"""
RANK_PAGE = """## The rank of an update

Of the change of a 256 x 256 weight, every trained number drawn anew, in float64:

| method and settings | the paper | so | ours | agrees | source |
|---|---|---|---|---|---|"""
HEAD = "| method and settings | model | where | stated | ours | agrees | |\n|---|---|---|---|---|---|---|"


def page() -> str:
    """docs/paper_numbers.md."""
    every, agreeing = rows(), sum(row.agrees for row in rows())
    methods = {name for row in every for name in row.method.split("+")}
    numbers = {"number": len(every), "methods": len(methods), "agreeing": agreeing, "others": len(every) - agreeing}
    text = [PAGE.format(**numbers)]
    for source, its in groupby(every, lambda row: row.source):
        where = " (MetaMathQA on Llama-3.2-3B; huggingface/peft at 5d602fdb)" if source == PEFT else ""
        text += [f"## {source}{where}\n\n{HEAD}", *(row.line for row in its), ""]
    text += [RANK_PAGE, *(rank_line(*x) for x in RANKS), ""]
    return "\n".join(text)


if __name__ == "__main__":
    print(page(), end="")
