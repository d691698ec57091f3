"""Every method and procedure in two passes, its blocks computed again, is itself in one; or it says that it is not."""

from contextlib import nullcontext

import pytest
import torch
from procedure_cases import PROCEDURES, configuration, trainer
from tiny import LAYERS

from autopeft.methods import REGISTRY as METHODS
from autopeft.methods import refusal
from autopeft.procedures import get_procedure
from autopeft.proxy.job import Job
from autopeft.train.accumulation import AccumulatedSession
from autopeft.train.full import FullTrainer
from autopeft.train.recompute import recomputed

STEPS = 3


def moved(wanted, passes: int, again: bool) -> torch.Tensor:
    """What three steps of a tiny BERT have changed, all parameters in one."""
    base = trainer()
    full, blocks = FullTrainer(base.backbone, base.tokenised, 8), wanted.frozen_layers or 0
    with full.attached(Job(wanted, 0, STEPS, STEPS)) as (model, place):
        adapted = model.get_base_model().get_submodule(base.backbone.shapes.blocks_path)[blocks:]
        with recomputed(adapted) if again else nullcontext():
            session = AccumulatedSession(
                full, model, place, [full.run_of(model, Job(wanted, 0, STEPS, STEPS), own=True)]
            )
            session.passes = passes
            start = flat(session.run.parameters)
            assert list(session.advance()) == [STEPS] and not session.run.failure
            return flat(session.run.parameters) - start


def flat(parameters: dict) -> torch.Tensor:
    return torch.cat([p.detach().flatten().clone() for p in parameters.values()])


def check(parts, wanted) -> None:
    passes, again = 1 + all(p.in_parts for p in parts), all(p.repeatable for p in parts)
    if passes == 1 and not again:
        pytest.skip("it is refused")
    one, other = moved(wanted, 1, False), moved(wanted, passes, again)
    assert one.norm() > 0 and (one - other).norm() < 0.05 * one.norm()


@pytest.mark.parametrize("method", [m for m in METHODS if not refusal(m, trainer().backbone.shapes)])
def test_a_method_in_parts_is_itself(method):
    top = (LAYERS - 1,) if METHODS[method].layers == "one" else (LAYERS - 2, LAYERS - 1)
    layers = {"none": (), "all": range(LAYERS)}.get(METHODS[method].layers, top)
    check([METHODS[method]], configuration("plain", trainer().backbone.shapes, method, layers))


@pytest.mark.parametrize("procedure", PROCEDURES)
def test_a_procedure_in_parts_is_itself(procedure):
    wanted = configuration(procedure, trainer().backbone.shapes)
    check([get_procedure(procedure), *(METHODS[m] for m in wanted.methods)], wanted)
