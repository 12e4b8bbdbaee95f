"""Recognise hand-written digits on equal workers: Horovod over gloo, with PyTorch, without mpirun.

HOROVOD_RANK, HOROVOD_SIZE and the place where the workers meet are set by `job run`. Rank 0 says how good the model is,
in OUTPUT_DIR.
"""

import argparse
import json
import os

import horovod.torch as hvd
import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

TEST_IMAGES = 450  # of 1797; the other 1347 are for training
BATCH = 32  # of each worker
HIDDEN = 64
LEARNING_RATE = 0.1
MOMENTUM = 0.9

Pairs = tuple[torch.Tensor, torch.Tensor]  # images, labels


def main() -> None:
    """Train as one of the workers that the environment names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="decides the split, the first weights and the batches")
    parser.add_argument("--epochs", type=int, default=20, help="times that every training image is seen")
    options = parser.parse_args()
    if "HOROVOD_RANK" not in os.environ:
        raise SystemExit("HOROVOD_RANK is not set; start this program with `job run`, see examples/README.md")
    torch.set_num_threads(1)
    hvd.init()
    train(options.seed, options.epochs)
    hvd.shutdown()


def load_images(seed: int) -> tuple[Pairs, Pairs]:
    """Return the digits of scikit-learn in two parts: for training, for the test."""
    digits = load_digits()
    images, labels = torch.tensor(digits.data / 16, dtype=torch.float32), torch.tensor(digits.target)
    order = np.random.default_rng(seed).permutation(len(images))
    test, training = order[:TEST_IMAGES], order[TEST_IMAGES:]
    return (images[training], labels[training]), (images[test], labels[test])


def train(seed: int, epochs: int) -> None:
    """Train with the other workers; rank 0 leaves metrics and weights."""
    rank, workers = hvd.rank(), hvd.size()
    training, test = load_images(seed)
    torch.manual_seed(seed + rank)  # on purpose another one each: they take rank 0's below
    network = nn.Sequential(nn.Linear(64, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 10))
    hvd.broadcast_parameters(network.state_dict(), root_rank=0)
    optimizer = torch.optim.SGD(network.parameters(), LEARNING_RATE, MOMENTUM)
    optimizer = hvd.DistributedOptimizer(optimizer, named_parameters=network.named_parameters())
    for epoch in range(1, epochs + 1):
        order = np.random.default_rng([seed, epoch]).permutation(len(training[0]))
        for start in range(0, len(order) - BATCH * workers + 1, BATCH * workers):
            own = order[start + rank * BATCH : start + (rank + 1) * BATCH]
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(network(training[0][own]), training[1][own])
            loss.backward()
            optimizer.step()
        print(f"rank {rank} of {workers}: epoch {epoch} of {epochs}: loss {loss.item():.4f}", flush=True)
    if rank == 0:
        with torch.no_grad():
            accuracy = (network(test[0]).argmax(1) == test[1]).double().mean().item()
        torch.save(network.state_dict(), os.path.join(os.environ["MODEL_DIR"], "weights.pt"))
        with open(os.path.join(os.environ["OUTPUT_DIR"], "metrics.json"), "w", encoding="utf-8") as file:
            json.dump({"accuracy": accuracy, "workers": workers, "epochs": epochs}, file)
        print(f"accuracy {accuracy:.4f} on {len(test[1])} test images", flush=True)


if __name__ == "__main__":
    main()
