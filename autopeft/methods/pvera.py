"""PVeRA: VeRA whose scaled projection is the mean and variance of a normal that is drawn from in training. No torch."""

from autopeft.methods.dynamics import Dynamics
from autopeft.methods.method import TARGETS, Method


class Pvera(Method):
    """dy = diag(b) B z with z ~ N(mu, sigma^2) and (mu, log sigma^2) = diag(d) A x; scored and merged with z = mu."""

    name = "pvera"
    title = "PVeRA"
    paper = "2025, arXiv 2512.07703"
    hyperparameters = {"rank": (16, 64, 256, 1024), "target_modules": TARGETS}
    defaults = {"rank": 256, "target_modules": "query+value"}
    learning_rate = (1e-3, 1e-1)
    in_parts = False
    repeatable = False
    mergeable = True
    packable = False

    def count(self, settings, layers, shapes):
        return {
            x.path: 2 * settings["rank"] + x.out_features for x in shapes.select(settings["target_modules"], layers)
        }

    def peft_fields(self, settings, layers, shapes):
        return {
            "peft_type": "PVERA",
            "r": settings["rank"],
            "d_initial": 0.1,
            "projection_prng_key": 0,
            "save_projection": True,
            "target_modules": [x.path for x in shapes.select(settings["target_modules"], layers)],
        }

    def refuses_company(self, other):
        return "PVeRA shares its random matrices between all modules of a model: leave pvera out"

    def dynamics(self, session, settings):
        return Sampling(session, settings)


class Sampling(Dynamics):
    """peft's layers sample in training mode, which autopeft leaves off: on for the steps, off for what is scored."""

    def __init__(self, session, settings):
        super().__init__(session, settings)
        self.layers = [m for m in session.model.modules() if hasattr(m, "pvera_generator")]

    def before_forward(self, step):
        import torch

        generator = torch.Generator().manual_seed(self.session.run.job.seed * 1_000_003 + step)
        for layer in self.layers:
            layer.pvera_generator["default"] = generator
            layer.training = True

    def before_update(self, step):
        for layer in self.layers:
            layer.training = False
