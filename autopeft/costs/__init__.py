"""What a configuration costs, counted from sizes alone: operations, training memory, bytes stored."""

from autopeft.costs.flops import forward_flops, train_flops
from autopeft.costs.memory import train_memory
from autopeft.costs.step import Step
from autopeft.costs.storage import adapter_bytes

__all__ = ["Step", "adapter_bytes", "forward_flops", "train_flops", "train_memory"]
