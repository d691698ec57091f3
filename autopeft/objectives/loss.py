"""The task's loss on the validation split."""

from autopeft.objectives.objective import Scored, register

LOSS = register(Scored("loss", "loss", reads="loss"))
