"""Evidence -> tables -> portfolio and rates, on made-up runs of which the answer is known."""

import json

import pytest
import yaml
from sizes import bert_shapes

from autopeft.base.errors import AutopeftError
from autopeft.base.run_length import RunLength
from autopeft.configuration import Configuration
from autopeft.methods import count
from autopeft.proxy.curve import Curve
from autopeft.space import load_space
from autopeft.space.rates import BENCHMARK, middle
from autopeft.space.relative import RelativeConfiguration
from autopeft.surrogate.gain_model import GainModel
from autopeft.tabular.evidence import FORMAT, Evidence, EvidenceRun
from autopeft.tabular.gain_fitting import fit_gains
from autopeft.tabular.learning import learn, read_tables, write_learnt
from autopeft.tabular.portfolio_building import coverage, portfolio_of
from autopeft.tabular.rate_fitting import MOST_SPREAD, best_rate, fit_rates
from autopeft.tabular.task_table import TaskTable

SHAPES = bert_shapes(layers=6, hidden=384)
SIX = range(6)
WIDE = Configuration.of("lora", {"rank": 4, "target_modules": "query+value", "rslora": False}, SIX, 1e-3)
NARROW = Configuration.of("lora", {"rank": 1, "target_modules": "query+value", "rslora": False}, SIX, 1e-3)
SCALES = Configuration.of("ia3", {"target_modules": "key+value+ffn_out"}, SIX, 1e-3)


def run(configuration, score, rate=1e-3, seed=0, role="candidate", whole=True):
    made = Configuration.of(configuration.method, dict(configuration.settings), configuration.layers, rate)
    steps = (31, 250) if whole else (31,)
    flat = (0.5,) * len(steps)
    curve = Curve(seed, steps, flat, flat, (score,) * len(steps), 1.0, 1, test_score=score if whole else None)
    relative = RelativeConfiguration.of(made, SHAPES).to_json() if role == "candidate" else None
    return EvidenceRun(role, relative, made, count(made, SHAPES), seed, curve)


def write(folder, name, runs, data=None, length=BENCHMARK):
    spec = {"data": data or name, "full_steps": length.steps, "batch_size": length.batch_size}
    about = {"format": FORMAT, "spec": spec, "task": {}, "shapes": SHAPES.to_json()}
    probe = run(Configuration.of("head_only", {}, (), 1e-3), 0.5, role="linear probe")
    lines = [about, *(r.to_json() for r in (probe, *runs))]
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))


def table(tmp_path, name, runs, length=BENCHMARK):
    write(tmp_path, name, runs, length=length)
    return TaskTable.of(Evidence.read(tmp_path / f"{name}.jsonl"))


def test_a_row_is_a_candidate_at_the_rate_that_validates_best_and_its_seeds_mean(tmp_path):
    rates = [
        run(WIDE, 0.6, 1e-4),
        run(WIDE, 0.8, 1e-3),
        run(WIDE, 0.9, 1e-2, whole=False),
        run(WIDE, 0.7, 1e-3, seed=1),
    ]
    found = table(tmp_path, "one", rates)
    assert len(found.rows) == 1 and found.probe == 0.5
    assert found.rows[0].best.configuration.learning_rate == 1e-3 and found.rows[0].test == pytest.approx(0.75)
    assert [r.configuration.learning_rate for r in found.rows[0].runs] == [1e-4, 1e-3, 1e-2]


def test_the_hypervolume_is_decades_times_gain(tmp_path):
    found = table(tmp_path, "one", [run(WIDE, 0.8), run(NARROW, 0.7)])
    share = count(WIDE, SHAPES) / SHAPES.backbone_parameters
    from math import log10

    apart = log10(count(WIDE, SHAPES) / count(NARROW, SHAPES))
    assert found.whole == pytest.approx(0.3 * log10(1e-2 / share) + 0.2 * apart, rel=1e-6)
    assert found.share([0, 1]) == 1


def test_the_portfolio_takes_what_covers_most_of_all_tasks_first(tmp_path):
    tables = [
        table(tmp_path, "one", [run(WIDE, 0.8), run(NARROW, 0.6), run(SCALES, 0.79)]),
        table(tmp_path, "two", [run(WIDE, 0.81), run(NARROW, 0.78), run(SCALES, 0.6)]),
    ]
    order = portfolio_of(tables, fit_gains(tables))
    assert {c.method for c in order} == {"lora", "ia3"} and len(order) == 3
    assert order[-1] == RelativeConfiguration.of(WIDE, SHAPES) or coverage(tables[0], order[:2])[-1] > 0.9
    for each in tables:
        rising = coverage(each, order)
        assert rising == sorted(rising) and rising[-1] == pytest.approx(1)


def test_a_task_without_room_says_nothing(tmp_path):
    flat = table(tmp_path, "flat", [run(NARROW, 0.51), run(WIDE, 0.501)])
    room = table(tmp_path, "room", [run(WIDE, 0.8), run(NARROW, 0.6)])
    assert fit_gains([flat, room]) == fit_gains([room])


def bracketed(best, method=WIDE):
    """Runs of which the middle rate is the best."""
    return [run(method, s, best * f) for f, s in ((0.1, 0.6), (1.0, 0.8), (10.0, 0.7))]


def test_the_rule_finds_where_rates_lie(tmp_path):
    best = middle(WIDE) * 10**0.5
    tables = [table(tmp_path, name, bracketed(best)) for name in map(str, range(12))]
    assert fit_rates(tables, names=()).rate(WIDE, SHAPES, BENCHMARK) == pytest.approx(best, rel=0.1)
    one = fit_rates(tables[:1], names=()).rate(WIDE, SHAPES, BENCHMARK)
    assert middle(WIDE) < one < 0.9 * best, "one task may be the exception"


def test_the_best_of_rates_that_were_too_low_is_taken_to_lie_half_a_step_beyond(tmp_path):
    """Left out, only candidates remained whose best was the middle of three rates that were too low for most."""
    rising = [run(SCALES, s, middle(SCALES) * f) for f, s in ((0.01, 0.6), (0.1, 0.7), (1.0, 0.8))]
    (row,) = table(tmp_path, "one", rising).rows
    assert best_rate(row) == pytest.approx(middle(SCALES) * 10**0.5, rel=1e-4)


def test_what_a_task_wants_of_its_own_is_not_the_rules(tmp_path):
    """Of a task with ten candidates and one with one, the first does not decide alone."""
    several = [
        Configuration.of("lora", {**dict(WIDE.settings), "rank": r}, SIX, 1e-3) for r in (1, 2, 4, 8, 16, 32, 64)
    ]
    many = [x for c in several for x in bracketed(10 * middle(WIDE), c)]
    tables = [table(tmp_path, "many", many), *(table(tmp_path, n, bracketed(middle(WIDE))) for n in ("a", "b", "c"))]
    assert fit_rates(tables, names=()).rate(WIDE, SHAPES, BENCHMARK) < 3.5 * middle(WIDE)


def test_the_spread_is_that_of_a_task_which_the_rule_has_not_seen(tmp_path):
    """Of two tasks half a decade apart it was a quarter, since the rule lay between them."""
    for apart, low, high in ((1.2, 0.25, 0.25), (1.8, 0.36, 0.46), (100.0, MOST_SPREAD, MOST_SPREAD)):
        tables = [table(tmp_path, n, bracketed(f * middle(WIDE))) for n, f in (("one", 1 / apart), ("two", apart))]
        assert low <= fit_rates(tables, names=()).spread <= high


def test_a_rate_of_a_short_run_is_a_lower_one_at_the_benchmarks_length(tmp_path):
    best, short = middle(WIDE) * 10**0.5, RunLength(25, 16)
    tables = [table(tmp_path, name, bracketed(best), short) for name in map(str, range(12))]
    rule = fit_rates(tables, names=())
    assert rule.rate(WIDE, SHAPES, short) == pytest.approx(best, rel=0.06)
    assert rule.rate(WIDE, SHAPES, BENCHMARK) < 0.7 * best


def test_learning_leaves_out_and_writes_files_that_are_read_again(tmp_path):
    for name in ("one", "two"):
        write(tmp_path, name, [run(WIDE, s, r) for r, s in ((1e-4, 0.6), (1e-3, 0.8), (1e-2, 0.7))])
    assert [t.name for t in read_tables(tmp_path, ["two"])] == ["one"]
    with pytest.raises(AutopeftError, match="Nothing in .* is called 'three'"):
        read_tables(tmp_path, ["three"])
    tables = read_tables(tmp_path)
    write_learnt(learn(tables), tables, tmp_path)
    assert (tmp_path / "portfolio.yaml").read_text().startswith("# Made by `autopeft learn` from one, two.")
    (entry,) = yaml.safe_load((tmp_path / "portfolio.yaml").read_text())["entries"]
    assert RelativeConfiguration.from_json(entry) == RelativeConfiguration.of(WIDE, SHAPES)
    assert set(load_space(str(tmp_path / "default.yaml")).methods) == {"lora", "head_only"}
    model = GainModel.from_json(json.loads((tmp_path / "benchmark.json").read_text()))
    assert [(w.method, w.task) for w in model.witnesses] == [("lora", 0), ("lora", 1)]


def test_a_damaged_line_is_said_and_an_unfinished_one_is_left_out(tmp_path):
    write(tmp_path, "one", [run(WIDE, 0.8)])
    path = tmp_path / "one.jsonl"
    path.write_text(path.read_text() + '{"role": "candi')
    assert len(Evidence.read(path).runs) == 2
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([lines[0], "garbage\n", *lines[1:]]))
    with pytest.raises(AutopeftError, match="Line 2 of .* is damaged"):
        Evidence.read(path)
    path.write_text("{}\n")
    with pytest.raises(AutopeftError, match="does not begin as an evidence file"):
        Evidence.read(path)
