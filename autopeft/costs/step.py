"""Step: the sizes of one training step."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """What a training step is.

    Args:
        rows: B, of the batch.
        tokens: S, of every row, padding included; for images and sounds the patches that the blocks see.
        weight_bytes: Of one frozen number: 4 in fp32, 2 in bf16. What is trained is fp32 always.
        attention: "sdpa" or "eager", which keeps the (B, heads, S, S) probabilities.
        gradient_checkpointing: Blocks keep their input alone, and their forward pass runs again in the backward.
        stored_prefix: The hidden states below the lowest adapted block are read and not computed.
        device: "cpu" or "cuda".
        target_tokens: Of every row: what a language model predicts (all, unless told), what the decoder of an
            encoder-decoder writes (as many as it reads, unless told).
    """

    rows: int
    tokens: int
    weight_bytes: int = 4
    attention: str = "sdpa"
    gradient_checkpointing: bool = False
    stored_prefix: bool = False
    device: str = "cpu"
    target_tokens: int | None = None

    @property
    def targets(self) -> int:
        """Tokens of a row that are predicted, or written by a decoder."""
        return self.tokens if self.target_tokens is None else self.target_tokens
