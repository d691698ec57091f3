"""stub"""


def train_memory(configuration, shapes, step):
    return 0
