"""Changes to an attached model for the length of a run. Files here import torch, so procedures import them late."""
