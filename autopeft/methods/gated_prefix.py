"""A prefix behind a gate, as one of UniPELT's three parts. Imports no torch."""

from autopeft.methods.prefix_tuning import PrefixTuning


class GatedPrefix(PrefixTuning):
    """Each layer's keys and values are multiplied by a gate that the text opens and closes: H + 1 numbers more."""

    name = "gated_prefix"
    title = "gated prefix (UniPELT)"
    paper = "Mao et al. 2021, arXiv 2110.07577"

    def refuses(self, shapes):
        if not shapes.kind.new_head:
            return "its gate reads the whole text, the tokens to predict included"
        return super().refuses(shapes)

    def count(self, settings, layers, shapes):
        counts = super().count(settings, layers, shapes)
        return {path: number + shapes.hidden_size + 1 for path, number in counts.items()}

    def peft_fields(self, settings, layers, shapes):
        return self.part_fields(settings, layers, shapes)

    def part_fields(self, settings, layers, shapes):
        fields = super().part_fields(settings, layers, shapes)
        return {**fields, "peft_type": "GATED_PREFIX", "hidden_size": shapes.hidden_size}
