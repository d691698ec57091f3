"""The linear probe: the task head alone is trained. Imports no torch."""

from autopeft.methods.mechanisms.method import Method


class HeadOnly(Method):
    name = "head_only"
    title = "head only (linear probe)"
    paper = "Alain & Bengio 2016, arXiv 1610.01644"
    learning_rate = (1e-4, 5e-2)
    quantised_base = True
    layers = "none"
    mergeable = True

    def refuses(self, shapes):
        return None if shapes.head_modules else "the task has no head of its own, so nothing would be trained"

    def count(self, settings, layers, shapes):
        return {}

    def peft_fields(self, settings, layers, shapes):
        return {"peft_type": "SELECTED", "target_modules": []}
