"""Recognise hand-written digits on equal workers: PyTorch's DistributedDataParallel over gloo.

MASTER_ADDR, MASTER_PORT, RANK and WORLD_SIZE say who trains with whom; `job run` sets them, and so does torchrun. After
each epoch the model is saved in CHECKPOINT_DIR, and a program that is started again goes on from there: all take what
the one with the newest checkpoint has. At the end every task says how good the model is, in OUTPUT_DIR, and leaves it
in MODEL_DIR: all have the same, and with an elastic torchrun nobody knows before which of them will be rank 0.
"""

import argparse
import json
import os
import time
from datetime import timedelta
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.parallel import DistributedDataParallel

TEST_IMAGES = 450  # of 1797; the other 1347 are for training
BATCH = 32  # of each worker
HIDDEN = 64
LEARNING_RATE = 0.1
MOMENTUM = 0.9
GATHERING_S = 60  # a worker that finds no others in this time fails

Pairs = tuple[torch.Tensor, torch.Tensor]  # images, labels


def main() -> None:
    """Train as one of the workers that the environment names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="decides the split, the first weights and the batches")
    parser.add_argument("--epochs", type=int, default=20, help="times that every training image is seen")
    parser.add_argument("--epoch_s", type=float, default=0.0, help="an epoch takes at least this long")
    options = parser.parse_args()
    if "RANK" not in os.environ:
        raise SystemExit("RANK is not set; start this program with `job run`, see examples/README.md")
    torch.set_num_threads(1)
    dist.init_process_group("gloo", timeout=timedelta(seconds=GATHERING_S))
    train(options)
    dist.destroy_process_group()


def load_images(seed: int) -> tuple[Pairs, Pairs]:
    """Return the digits of scikit-learn in two parts: for training, for the test."""
    digits = load_digits()
    images, labels = torch.tensor(digits.data / 16, dtype=torch.float32), torch.tensor(digits.target)
    order = np.random.default_rng(seed).permutation(len(images))
    test, training = order[:TEST_IMAGES], order[TEST_IMAGES:]
    return (images[training], labels[training]), (images[test], labels[test])


def train(options: argparse.Namespace) -> None:
    """Train with the other workers, from the newest checkpoint on."""
    rank, workers = dist.get_rank(), dist.get_world_size()
    training, test = load_images(options.seed)
    torch.manual_seed(options.seed)
    network = DistributedDataParallel(nn.Sequential(nn.Linear(64, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 10)))
    optimizer = torch.optim.SGD(network.parameters(), LEARNING_RATE, MOMENTUM)
    first = 1 + restore(network, optimizer)
    if first > 1:
        print(f"rank {rank} goes on after epoch {first - 1}", flush=True)
    for epoch in range(first, options.epochs + 1):
        began = time.monotonic()
        order = np.random.default_rng([options.seed, epoch]).permutation(len(training[0]))
        for start in range(0, len(order) - BATCH * workers + 1, BATCH * workers):
            own = order[start + rank * BATCH : start + (rank + 1) * BATCH]
            loss = nn.functional.cross_entropy(network(training[0][own]), training[1][own])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        time.sleep(max(0.0, options.epoch_s - (time.monotonic() - began)))
        print(f"rank {rank} of {workers}: epoch {epoch} of {options.epochs}: loss {loss.item():.4f}", flush=True)
        if is_first_of_task():
            save_checkpoint(network, optimizer, epoch)
    if is_first_of_task():
        save(network, test, {"workers": workers, "first_epoch": first, "epochs": options.epochs})


def is_first_of_task() -> bool:
    """Return whether this process writes files: tasks share no directory, the processes of one torchrun do."""
    return os.environ.get("LOCAL_RANK", "0") == "0"


def save(network: Any, test: Pairs, facts: dict[str, int]) -> None:
    """Leave the weights in MODEL_DIR and how well they do on the test images in OUTPUT_DIR."""
    with torch.no_grad():
        accuracy = (network.module(test[0]).argmax(1) == test[1]).double().mean().item()
    torch.save(network.module.state_dict(), os.path.join(os.environ["MODEL_DIR"], "weights.pt"))
    with open(os.path.join(os.environ["OUTPUT_DIR"], "metrics.json"), "w", encoding="utf-8") as file:
        json.dump({"accuracy": accuracy, **facts}, file)
    print(f"accuracy {accuracy:.4f} on {len(test[1])} test images", flush=True)


def checkpoint_file() -> str:
    """Return where the checkpoint of this task lies."""
    return os.path.join(os.environ["CHECKPOINT_DIR"], "checkpoint.pt")


def save_checkpoint(network: Any, optimizer: Any, epoch: int) -> None:
    """Save beside the place and rename: a program may be killed at any moment."""
    state = {"epoch": epoch, "network": network.module.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save(state, checkpoint_file() + ".new")
    os.replace(checkpoint_file() + ".new", checkpoint_file())


def restore(network: Any, optimizer: Any) -> int:
    """Take the newest checkpoint that any of the workers has; return its epoch, 0 when there is none."""
    own = torch.load(checkpoint_file()) if os.path.exists(checkpoint_file()) else {"epoch": 0}
    epochs: list[Any] = [0] * dist.get_world_size()
    dist.all_gather_object(epochs, own["epoch"])
    if max(epochs) == 0:
        return 0
    newest = [own]
    dist.broadcast_object_list(newest, src=epochs.index(max(epochs)))
    network.module.load_state_dict(newest[0]["network"])
    optimizer.load_state_dict(newest[0]["optimizer"])
    return int(newest[0]["epoch"])


if __name__ == "__main__":
    main()
