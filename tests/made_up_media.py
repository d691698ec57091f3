"""Tiny random ViT and AST checkpoints with their processors, and recordings of tones.

`python tests/made_up_media.py vit FOLDER`, `ast FOLDER` or `tones FOLDER` writes one.
"""

import sys
from pathlib import Path

import numpy as np
import torch

SIZES = {"hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 128}
RATE = 4000  # samples a second of the tones
PITCHES = {"low": 300, "middle": 600, "high": 1200}  # hertz


def vit(folder: Path) -> Path:
    """Pictures are made 16 x 16 and cut into patches of 4 x 4."""
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessorPil

    _saved(ViTForImageClassification, ViTConfig(image_size=16, patch_size=4, num_labels=2, **SIZES), folder)
    ViTImageProcessorPil(size={"height": 16, "width": 16}).save_pretrained(folder)
    return folder


def ast(folder: Path) -> Path:
    """Recordings are made 32 frames of 16 mel bins, cut into patches of 8 x 8."""
    from transformers import ASTConfig, ASTFeatureExtractor, ASTForAudioClassification

    spectrogram = {"num_mel_bins": 16, "max_length": 32}
    strides = {"patch_size": 8, "frequency_stride": 8, "time_stride": 8}
    _saved(ASTForAudioClassification, ASTConfig(num_labels=2, **spectrogram, **strides, **SIZES), folder)
    ASTFeatureExtractor(sampling_rate=RATE, **spectrogram).save_pretrained(folder)
    return folder


def _saved(model, config, folder: Path) -> None:
    """Seeded, so that every call writes the same checkpoint."""
    state = torch.get_rng_state()
    torch.manual_seed(0)
    built = model(config)
    torch.set_rng_state(state)
    built.save_pretrained(folder)


def tones(folder: Path, each: int = 60, seconds: float = 0.4) -> Path:
    """A folder of WAV files per pitch: a tone a little off, of its own loudness and phase, in noise."""
    from scipy.io import wavfile

    draw, times = np.random.default_rng(0), np.arange(int(RATE * seconds)) / RATE
    for name, pitch in PITCHES.items():
        (folder / name).mkdir(parents=True)
        for number in range(each):
            tone = np.sin(2 * np.pi * (pitch * draw.uniform(0.85, 1.15) * times + draw.random()))
            wave = draw.uniform(0.1, 0.4) * tone + 0.1 * draw.standard_normal(len(times))
            wavfile.write(folder / name / f"{number}.wav", RATE, (32000 * wave.clip(-1, 1)).astype(np.int16))
    return folder


if __name__ == "__main__":
    {"vit": vit, "ast": ast, "tones": tones}[sys.argv[1]](Path(sys.argv[2]))
