"""An executor that trains nothing: a function of the order stands in for the training."""

from collections import deque
from heapq import heappop, heappush
from types import SimpleNamespace

from autopeft.executor.seam import Finished
from autopeft.executor.workers import Workers


class Called:
    """Answers one pack after another; what it is called with is an order."""

    slots = 1

    def __init__(self, call):
        self.call, self.waiting, self.submitted = call, deque(), 0

    def start(self, recipe):
        pass

    def submit(self, pack):
        self.submitted += 1
        self.waiting.append((self.submitted, pack))
        return self.submitted

    def events(self, seconds):
        ticket, pack = self.waiting.popleft()
        return [Finished(ticket, {"answers": [self.call(order).to_json() for order in pack.orders]})]

    def cancel(self, ticket):
        self.waiting = deque(x for x in self.waiting if x[0] != ticket)

    def close(self):
        self.waiting.clear()


def called(call) -> Workers:
    """Workers that answer what a function of the order gives."""
    return Workers(SimpleNamespace(head_learning_rate=1e-3, uniform_lora=None), Called(call))


class Simulated(Called):
    """As many slots as wanted, each order as long as said; a clock runs that nobody waits for.

    Args:
        call: order -> answer.
        slots: how many packs are trained at the same time.
        seconds: order -> how long it takes.
    """

    def __init__(self, call, slots, seconds):
        super().__init__(call)
        self.slots, self.seconds = slots, seconds
        self.clock = self.busy = 0.0
        self.ends = []  # (when, ticket, pack) of what has begun

    def submit(self, pack):
        self.submitted += 1
        assert len(self.ends) < self.slots, "more is begun than there are slots"
        took = sum(self.seconds(order) for order in pack.orders)
        self.busy += took
        heappush(self.ends, (self.clock + took, self.submitted, pack))
        return self.submitted

    def events(self, seconds):
        self.clock, ticket, pack = heappop(self.ends)
        return [Finished(ticket, {"answers": [self.call(order).to_json() for order in pack.orders]})]

    @property
    def share_busy(self):
        """Of the slots' time until now."""
        return self.busy / (self.slots * self.clock)


def simulated(call, slots, seconds) -> Workers:
    """Workers that answer what a function of the order gives, after so many seconds on a clock of their own."""
    return Workers(SimpleNamespace(head_learning_rate=1e-3, uniform_lora=None), Simulated(call, slots, seconds))
