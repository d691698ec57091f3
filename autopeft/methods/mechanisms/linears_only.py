"""Methods whose layers in peft take an nn.Linear and nothing else. Imports no torch."""

from autopeft.methods.mechanisms.method import Method

TRANSPOSED = ("gpt2", "openai-gpt")  # their linears are transformers' Conv1D, with weights of shape (in, out)


class LinearsOnly(Method):
    """Refuses the backbones that store their weights transposed."""

    def refuses(self, shapes):
        if shapes.model_type in TRANSPOSED:
            return f"{shapes.model_type} stores its weights transposed, which {self.title} in peft does not take"
        return None
