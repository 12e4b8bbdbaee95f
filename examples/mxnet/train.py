"""Recognise hand-written digits with MXNet's parameter servers: a dist_sync key-value store.

One program for every task. DMLC_ROLE says what a task is; in a scheduler and a server `import mxnet` serves until the
workers have ended, and never returns. The DMLC variables are set by `job run`. A worker is not told its rank, the
scheduler gives it one: so every worker says how good the model is, in OUTPUT_DIR, and leaves it in MODEL_DIR.
"""

import argparse
import json
import os

if os.environ.get("DMLC_ROLE") in ("scheduler", "server"):
    print(f"{os.environ['DMLC_ROLE']} serves", flush=True)

import mxnet as mx
import numpy as np
from mxnet import autograd, gluon
from sklearn.datasets import load_digits

TEST_IMAGES = 450  # of 1797; the other 1347 are for training
BATCH = 32  # of each worker; a last batch that is smaller would make dist_sync hang, so it is left out
HIDDEN = 64
LEARNING_RATE = 0.1

Pairs = tuple[np.ndarray, np.ndarray]  # images, labels


def main() -> None:
    """Train as one of the workers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="decides the split, the first weights and the batches")
    parser.add_argument("--epochs", type=int, default=20, help="times that every training image is seen")
    options = parser.parse_args()
    if "DMLC_ROLE" not in os.environ:
        raise SystemExit("DMLC_ROLE is not set; start this program with `job run`, see examples/README.md")
    train(mx.kv.create("dist_sync"), options.seed, options.epochs)


def load_images(seed: int) -> tuple[Pairs, Pairs]:
    """Return the digits of scikit-learn in two parts: for training, for the test."""
    digits = load_digits()
    images = (digits.data / 16).astype(np.float32)
    order = np.random.default_rng(seed).permutation(len(images))
    test, training = order[:TEST_IMAGES], order[TEST_IMAGES:]
    return (images[training], digits.target[training]), (images[test], digits.target[test])


def train(store: mx.kv.KVStore, seed: int, epochs: int) -> None:
    """Train with the other workers: the servers hold the weights and add up the changes of each step."""
    rank, workers = store.rank, store.num_workers
    (images, labels), test = load_images(seed)
    mx.random.seed(seed)
    network = gluon.nn.HybridSequential()
    network.add(gluon.nn.Dense(HIDDEN, activation="relu", in_units=64), gluon.nn.Dense(10, in_units=HIDDEN))
    network.initialize(mx.init.Xavier())
    loss_of = gluon.loss.SoftmaxCrossEntropyLoss()
    settings = {"learning_rate": LEARNING_RATE, "momentum": 0.9}
    trainer = gluon.Trainer(network.collect_params(), "sgd", settings, kvstore=store, update_on_kvstore=True)
    for epoch in range(1, epochs + 1):
        order = np.random.default_rng([seed, epoch]).permutation(len(images))
        for start in range(0, len(order) - BATCH * workers + 1, BATCH * workers):
            own = order[start + rank * BATCH : start + (rank + 1) * BATCH]
            with autograd.record():
                loss = loss_of(network(mx.nd.array(images[own])), mx.nd.array(labels[own]))
            loss.backward()
            trainer.step(BATCH * workers)
        print(f"rank {rank} of {workers}: epoch {epoch} of {epochs}: loss {loss.mean().asscalar():.4f}", flush=True)
    accuracy = float(np.mean(network(mx.nd.array(test[0])).asnumpy().argmax(1) == test[1]))
    network.save_parameters(os.path.join(os.environ["MODEL_DIR"], "weights.params"))
    metrics = {"accuracy": accuracy, "workers": workers, "epochs": epochs}
    with open(os.path.join(os.environ["OUTPUT_DIR"], "metrics.json"), "w", encoding="utf-8") as file:
        json.dump(metrics, file)
    print(f"accuracy {accuracy:.4f} on {len(test[1])} test images", flush=True)


if __name__ == "__main__":
    main()
