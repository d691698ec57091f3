"""DoRA: LoRA moves the direction of each row of a weight, a trained magnitude its length. Imports no torch."""

from autopeft.methods.lora import Lora


class Dora(Lora):
    name = "dora"
    title = "DoRA"
    paper = "Liu et al. 2024, arXiv 2402.09353"
    learning_rate = (5e-5, 1e-2)  # the authors advise to start a little below LoRA's

    def count(self, settings, layers, shapes):
        magnitudes = {x.path: x.out_features for x in shapes.select(settings["target_modules"], layers)}
        return {path: number + magnitudes[path] for path, number in super().count(settings, layers, shapes).items()}

    def peft_fields(self, settings, layers, shapes):
        return {**super().peft_fields(settings, layers, shapes), "use_dora": True}
