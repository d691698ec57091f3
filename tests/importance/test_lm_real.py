"""The trace through a real language model's own head."""

import numpy as np
import pytest

from autopeft.importance import score_layers


@pytest.mark.slow
def test_smollm2_ends_nearest_to_the_next_token():
    """On English text the last layer is nearer to the next token's basis than the embeddings are."""
    from autopeft.backbone.loading import load_backbone
    from autopeft.tasks.task import Split, Task
    from autopeft.tasks.tokens import tokenise

    texts = (
        "The capital of France is Paris, and the capital of Germany is Berlin.",
        "Once upon a time there was a king who lived in a castle with his daughter.",
        "The quick brown fox jumps over the lazy dog.",
        "To be, or not to be, that is the question.",
    )
    split = Split(texts, (0, 1, 0, 1))
    backbone = load_backbone("smollm2-135m", 2)
    tokenised = tokenise(Task("quotes", ("a", "b"), "accuracy", split, split, split), backbone.tokenizer)
    deviation = np.array(score_layers("trace", backbone, tokenised, rows=4, basis="lm-head").details["deviation"])
    assert len(deviation) == 31 and deviation[-1] == deviation.min() and deviation[0] > 0.9
