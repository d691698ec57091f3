"""IncreLoRA: ranks begin at one and grow where the loss is most sensitive.

Every module brings as many components as the mean rank says, uses one of them, and takes further ones from the common
store of all modules of equal i + o, of which a component costs the same. So the trained numbers are those of the mean
rank whatever the data ask for, and when growth is over every component is in use: sum_k r_k (i + o + 1). With
`advance` each module holds one more in reserve while ranks grow: it learns before it counts, and is left over at the end.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.lora import ALPHA
from autopeft.methods.mechanisms.callback import Callback
from autopeft.methods.mechanisms.method import TARGETS, Method, Settings
from autopeft.methods.mechanisms.training import TrainingSession
from autopeft.methods.mechanisms.work import Place, Work, chain, grams, joined

if TYPE_CHECKING:
    import torch
    from peft import PeftModel


BETA = 0.85  # of both moving averages
GROWTHS = 20  # times at which modules grow, between a tenth and two thirds of the steps
ADAPTER = "default"


class IncreLora(Method):
    """dW = scale * sum_j e_j b_j a_j^T with `rank` components per module on average; a module's rank grows in training."""

    name = "increlora"
    title = "IncreLoRA"
    family = "low rank"
    paper = "Zhang et al. 2023, arXiv 2308.12043"
    hyperparameters = {
        "rank": (2, 4, 8),
        "target_modules": TARGETS,
        "orthogonality": (0.0, 0.1),
        "advance": (False, True),
    }
    defaults = {"rank": 4, "target_modules": "all-linear", "orthogonality": 0.1, "advance": False}
    absent = {"advance": False}
    # e starts at 0 and a b^T at 4e-4: a run of hundreds of steps wants more than the paper's 3.5e-4 to 8e-4.
    learning_rate = (1e-3, 5e-2)
    mergeable = True

    @override
    def count(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        """Per module what it brings, (i + o + 1) for each of `rank` components; the sum is also that of what is used.

        A component in reserve counts as any other, although its e is held.
        """
        components = settings["rank"] + settings.get("advance", False)
        return {
            x.path: components * (x.in_features + x.out_features + 1)
            for x in shapes.select(settings["target_modules"], layers)
        }

    @override
    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        return {
            "peft_type": "INCRELORA",
            "rank": settings["rank"],
            "alpha": ALPHA,
            "advance": settings.get("advance", False),
            "target_modules": [x.path for x in shapes.select(settings["target_modules"], layers)],
        }

    @override
    def refuses_company(self, other: str) -> str | None:
        return "IncreLoRA writes its grown ranks into its own config: leave increlora out"

    @override
    def callback(self, session: TrainingSession, settings: Settings) -> Callback | None:
        return Growth(session, settings)

    @override
    def extra_loss(self, model: PeftModel, settings: Settings) -> torch.Tensor | None:
        if not settings["orthogonality"]:
            return None
        from autopeft.methods.tuners.increlora import orthogonality

        return settings["orthogonality"] * orthogonality(model)

    @override
    def work(self, settings: Settings, place: Place) -> Work:
        """All components, and their products with themselves in the regulariser; the one in reserve adds nothing."""
        rank = settings["rank"]
        update = chain(place.tokens, place.inputs, rank, place.outputs)
        return joined(update, grams(rank, place)) if settings["orthogonality"] else update


class Growth(Callback):
    """Hands out the store's components, a share at each of the growths, to the modules of the highest score.

    Sensitivity s of a module: the sum of |p dL/dp| over its components' numbers, a first-order estimate of what the
    loss loses without them that needs no gradient of the whole weight (the paper's own does). Score: the moving
    average of s times that of |s - average|. A component that is taken has never had a gradient, so AdamW begins its
    moments and their bias correction with it; one that was in reserve brings what it has learnt.
    """

    def __init__(self, session: TrainingSession, settings: Settings) -> None:
        super().__init__(session, settings)
        import torch

        from autopeft.methods.tuners.increlora import increlora_layers

        self.base = session.model.get_base_model()
        self.layers = increlora_layers(self.base)
        self.components = settings["rank"] + settings.get("advance", False)  # that each module brings
        self.classes: dict[int, list[str]] = {}  # numbers of a component -> the modules that share theirs
        for path, layer in self.layers.items():
            self.classes.setdefault(layer.slots(ADAPTER)[0].numel(), []).append(path)
        device = next(iter(self.layers.values())).slots(ADAPTER)[0].device
        self.average, self.spread = torch.zeros(2, len(self.layers), device=device)
        self.assignment = {path: [(path, 0)] for path in self.layers}
        self.reserve: dict[str, tuple[str, int]] = {}
        if self.components > settings["rank"] and not session.step:  # else load() says which they are
            for path in self.layers:
                self._hold(path, (path, 1))
        self._assign()

    @override
    def before_forward(self, step: int) -> None:
        due = growths_due(step, self.session.steps)
        for paths in self.classes.values():
            extra = (self.settings["rank"] - 1) * len(paths) * due // GROWTHS
            missing = extra - sum(len(self.assignment[path]) - 1 for path in paths)
            if missing:
                self._grow(paths, missing)
        if due == GROWTHS and self.reserve:
            self.reserve = {}
            self._assign()

    @override
    def before_update(self, step: int) -> None:
        import torch

        for layer in self.layers.values():
            for slot in layer.reserves(ADAPTER):
                if slot.grad is not None:
                    slot.grad[-1] = 0.0  # e is held
        none = self.average.new_zeros(())  # a procedure may leave a module without a gradient
        sensitivity = torch.stack(
            [
                sum(((p.detach() * p.grad).abs().sum() for p in x.slots(ADAPTER) if p.grad is not None), none)
                for x in self.layers.values()
            ]
        )
        self.average = BETA * self.average + (1 - BETA) * sensitivity
        self.spread = BETA * self.spread + (1 - BETA) * (sensitivity - self.average).abs()

    def _grow(self, paths: list[str], number: int) -> None:
        """One component more for each of the `number` first by score, round and round; a module's own come first."""
        score = dict(zip(self.layers, (self.average * self.spread).tolist()))
        order = sorted(paths, key=lambda path: -score[path])
        taken = {slot for path in paths for slot in [*self.assignment[path], self.reserve.get(path)]}
        free = {p: [(p, k) for k in range(self.components) if (p, k) not in taken] for p in reversed(order)}
        for k in range(number):
            path = order[k % len(order)]
            lender = path if free[path] else next(p for p in free if free[p])  # else the least sensitive one's
            slot = free[lender].pop(0)
            if path in self.reserve:
                slot, fresh = self.reserve[path], slot
                self._hold(path, fresh)
            self.assignment[path] = [*self.assignment[path], slot]
        self._assign()

    def _hold(self, path: str, slot: tuple[str, int]) -> None:
        """Let a module hold a slot that nobody has used in reserve."""
        from autopeft.methods.tuners.increlora import HELD, slot_name

        lender, number = slot
        getattr(self.layers[lender], slot_name(number))[ADAPTER].data[-1] = HELD
        self.reserve[path] = slot

    def _assign(self) -> None:
        from autopeft.methods.tuners.increlora import assign

        assign(self.base, ADAPTER, self.assignment, self.reserve)
        config = self.session.model.peft_config[ADAPTER]  # saved with the adapter
        config.assignment, config.reserve = dict(self.assignment), dict(self.reserve)

    @override
    def state(self) -> dict[str, torch.Tensor]:
        import torch

        number = {path: k for k, path in enumerate(self.layers)}
        rows = [(number[path], number[lender], k) for path, slots in self.assignment.items() for lender, k in slots]
        held = [(number[path], number[lender], k) for path, (lender, k) in self.reserve.items()]
        return {
            "average": self.average,
            "spread": self.spread,
            "assignment": torch.tensor(rows),
            "reserve": torch.tensor(held, dtype=torch.int64).reshape(-1, 3),
        }

    @override
    def load(self, tensors: dict[str, torch.Tensor]) -> None:
        device = self.average.device
        self.average, self.spread = tensors["average"].to(device), tensors["spread"].to(device)
        paths = list(self.layers)
        self.assignment = by_module(paths, tensors["assignment"].tolist())
        self.reserve = {paths[path]: (paths[lender], k) for path, lender, k in tensors["reserve"].tolist()}
        self._assign()


def growths_due(step: int, steps: int) -> int:
    """How many of the growths lie before this step (the number of steps done) of a run of that length."""
    begin, end = steps // 10, 2 * steps // 3
    return GROWTHS if step >= end else max(0, GROWTHS * (step - begin) // (end - begin))


def by_module(paths: list[str], rows: Iterable) -> dict[str, list]:
    """Rows (module, lender, slot) of places in `paths` -> module path -> [(lender's path, slot), ...]."""
    assignment: dict[str, list[tuple[str, int]]] = {path: [] for path in paths}
    for path, lender, slot in rows:
        assignment[paths[path]].append((paths[lender], slot))
    return assignment
