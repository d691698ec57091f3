"""WaveFT: a linear's update is the inverse wavelet transform of a few trained coefficients."""

from autopeft.methods.fourierft import FourierFt


class WaveFt(FourierFt):
    """dW = 25 idwt2(F) with Haar wavelets: each coefficient moves two by two weights, the others not at all."""

    name = "waveft"
    title = "WaveFT"
    family = "very few numbers"
    paper = "Bilican et al. 2025, arXiv 2505.12532"
    learning_rate = (3e-5, 3e-3)  # the transform keeps lengths, so 25 times that is what a weight moves
    peft_type = "WAVEFT"
    constants = {"scaling": 25.0, "wavelet_family": "db1"}
