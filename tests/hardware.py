"""What this machine can do, for tests that would take minutes without it."""

import pytest
import torch

from autopeft.proxy.precision import worth_timing

needs_bf16 = pytest.mark.skipif(
    not worth_timing(torch.bfloat16), reason="a product in bf16 takes many times as long as in fp32 on this machine"
)
