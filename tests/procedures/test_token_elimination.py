import pytest
import torch
from around_cases import configuration, in_one_piece_and_in_two, trainer
from tiny import LAYERS, TINY, tiny_backbone, tiny_batch

from autopeft.methods.mechanisms.attach import attached
from autopeft.procedures import get_procedure
from autopeft.procedures.mechanisms.elimination import Tokens, eliminated
from autopeft.proxy.job import Job
from autopeft.proxy.trainer import Trainer

ELIMINATION = get_procedure("token_elimination")
FITTING = [m for m in TINY if m != "deberta-v2"]


def logits(model, batch) -> torch.Tensor:
    with torch.no_grad():
        return model(**{k: v for k, v in batch.items() if k != "labels"}).logits


def test_the_best_of_each_row_stay_with_its_ends_and_its_padding():
    tokens = Tokens(keep=0.5, last=False)
    tokens.mask = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]]).bool()
    tokens.scores = torch.tensor([[0.0, 0.1, 0.4, 0.2, 0.3, 0.0], [0.0, 0.3, 0.1, 0.0, 0.9, 0.9]])
    assert tokens.choose(torch.zeros(2, 6, 4)).tolist() == [[0, 2, 5], [0, 3, 4]]


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("model_type", FITTING)
def test_blocks_see_fewer_tokens_and_the_others_pass_by(model_type, attention):
    backbone, how = tiny_backbone(model_type), configuration("token_elimination", layers=(1, 2), keep=0.5)
    backbone.model.set_attn_implementation(attention)
    before = vars(backbone.model.get_submodule(backbone.shapes.attention_paths[1]))["config"]
    with attached(how, backbone, 0) as model:
        start, blocks = logits(model, tiny_batch()), model.get_base_model().get_submodule(backbone.shapes.blocks_path)
        with ELIMINATION.around(model, how, backbone.shapes):
            seen = {}
            hook = blocks[2].register_forward_hook(lambda _, given, out: seen.update(given=given[0], out=out))
            inner = module_inside(backbone.shapes, model).register_forward_pre_hook(
                lambda _, given: seen.update(width=given[0].numel() // given[0].shape[-1] // 4)
            )
            model(**tiny_batch()).loss.backward()
            hook.remove(), inner.remove()
            changed = logits(model, tiny_batch())
        out = seen["out"][0] if isinstance(seen["out"], tuple) else seen["out"]
        same = (out == seen["given"]).all(-1)
        assert seen["width"] == 6 and not torch.equal(changed, start)  # half of 12
        assert same[:2].sum(1).tolist() == [6, 6]
        assert same[2:, :8].sum(1).tolist() == [4, 4]  # half of the 8 that are no padding
        assert not same[:, 0].any()
        assert torch.equal(logits(model, tiny_batch()), start)
    assert vars(backbone.model.get_submodule(backbone.shapes.attention_paths[1]))["config"] is before
    assert not any("forward" in vars(b) for b in blocks)


def module_inside(shapes, model):
    """A linear of the last block."""
    return model.get_base_model().get_submodule(
        next(x for x in shapes.linears if x.layer == 2 and x.role == "ffn_out").path
    )


@pytest.mark.parametrize("model_type", ["bert", "llama", "gpt2", "modernbert"])
def test_a_row_does_not_depend_on_the_rows_beside_it(model_type):
    backbone, how, batch = tiny_backbone(model_type), configuration("token_elimination", keep=0.5), tiny_batch()
    with attached(how, backbone, 0) as model, ELIMINATION.around(model, how, backbone.shapes):
        together = logits(model, batch)
        alone = logits(model, {k: v[3:, :8] if v.ndim == 2 else v[3:] for k, v in batch.items()})
    torch.testing.assert_close(together[3:], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("model_type", ["bert", "llama"])
def test_scores_are_the_attention_that_the_read_token_paid(model_type):
    """Against the attention weights that the eager implementation returns."""
    backbone, batch = tiny_backbone(model_type), tiny_batch()
    weights = backbone.model(**batch, output_attentions=True).attentions[0].mean(1)  # (B, S, S)
    reader = batch["attention_mask"].sum(1) - 1 if backbone.shapes.is_decoder else torch.zeros(4, dtype=torch.long)
    with attached(configuration("plain"), backbone, 0) as model:
        with eliminated(model, backbone.shapes, (1,), 1.0) as tokens:
            logits(model, batch)
        torch.testing.assert_close(tokens.scores, weights[torch.arange(4), reader], rtol=1e-4, atol=1e-6)


def test_starts_above_the_lowest_trained_block_and_the_prefix_stays_storable(tmp_path):
    assert not ELIMINATION.needs_whole_backbone
    shapes = tiny_backbone("bert").shapes
    for lowest, layers in ((0, (1, 2)), (1, (2,)), (2, ())):
        how = configuration("token_elimination", layers=range(lowest, LAYERS))
        assert ELIMINATION.layers(ELIMINATION.defaults, how, shapes) == layers


def test_stored_prefix_packing_and_resuming_change_nothing(tmp_path, monkeypatch):
    from autopeft.backbone.prefix import PrefixCache

    plain, how = trainer("bert"), configuration("token_elimination", layers=(1, 2), keep=0.5)
    whole, resumed = in_one_piece_and_in_two(plain, how)
    assert whole == resumed
    cache = PrefixCache(plain.backbone, plain.tokenised, 10**8, tmp_path)
    job = Job(how, 0, 4, 4, keep_state=True)  # less than an epoch: batches stay as they were when they were stored
    stored, (here,) = Trainer(plain.backbone, plain.tokenised, 8, prefix=cache), plain.run([job])
    assert [stored.run([job])[0].state for _ in range(2)] == [here.state, here.state] and cache.read_rows
    monkeypatch.setattr(Trainer, "packing_pays", lambda *_: True)
    alone = plain.run([Job(how, 0, 6, 6)])[0]
    packed = plain.run([Job(how, 0, 6, 6), Job(how, 0, 6, 6)])
    for one in packed:
        assert one.curve.validation_loss == pytest.approx(alone.curve.validation_loss, abs=2e-4)


def test_says_what_it_cannot_do():
    bert, deberta = (tiny_backbone(m).shapes for m in ("bert", "deberta-v2"))
    assert "deberta-v2" in ELIMINATION.refuses(("lora",), deberta)
    assert ELIMINATION.refuses(("head_only",), bert) and ELIMINATION.refuses(("lora", "prefix_tuning"), bert)
    assert ELIMINATION.refuses(("vqt",), bert)  # it would find no attention function it can hand on to
    assert ELIMINATION.refuses(("lora",), bert) is None
