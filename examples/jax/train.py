"""Recognise hand-written digits on several processes: JAX on CPUs, with gloo between the processes.

JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID are set by `job run`. Each process holds its own part of
every batch; the step is compiled once for all devices of all processes, which exchange their gradients in it. Process 0
says how good the model is, in OUTPUT_DIR.
"""

import argparse
import json
import os
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from sklearn.datasets import load_digits

TEST_IMAGES = 450  # of 1797; the other 1347 are for training
BATCH = 32  # of each process
HIDDEN = 64
LEARNING_RATE = 0.3

Pairs = tuple[np.ndarray, np.ndarray]  # images, labels
Weights = dict[str, jax.Array]


def main() -> None:
    """Train as one of the processes that the environment names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="decides the split, the first weights and the batches")
    parser.add_argument("--epochs", type=int, default=20, help="times that every training image is seen")
    options = parser.parse_args()
    if "JAX_COORDINATOR_ADDRESS" not in os.environ:
        raise SystemExit("JAX_COORDINATOR_ADDRESS is not set; start this with `job run`, see examples/README.md")
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(
        coordinator_address=os.environ["JAX_COORDINATOR_ADDRESS"],
        num_processes=int(os.environ["JAX_NUM_PROCESSES"]),
        process_id=int(os.environ["JAX_PROCESS_ID"]),
    )
    train(options.seed, options.epochs)
    jax.distributed.shutdown()


def load_images(seed: int) -> tuple[Pairs, Pairs]:
    """Return the digits of scikit-learn in two parts: for training, for the test."""
    digits = load_digits()
    images = (digits.data / 16).astype(np.float32)
    order = np.random.default_rng(seed).permutation(len(images))
    test, training = order[:TEST_IMAGES], order[TEST_IMAGES:]
    return (images[training], digits.target[training]), (images[test], digits.target[test])


def first_weights(seed: int) -> dict[str, np.ndarray]:
    """Return the weights at the beginning, the same in every process."""
    dice = np.random.default_rng(seed)
    return {
        "hidden_weights": dice.normal(scale=0.1, size=[64, HIDDEN]).astype(np.float32),
        "hidden_bias": np.zeros([HIDDEN], np.float32),
        "output_weights": dice.normal(scale=0.1, size=[HIDDEN, 10]).astype(np.float32),
        "output_bias": np.zeros([10], np.float32),
    }


def scores(weights: Weights, images: jax.Array) -> jax.Array:
    """Return a score for each digit: 64 pixels, one hidden layer, 10 digits."""
    hidden = jax.nn.relu(images @ weights["hidden_weights"] + weights["hidden_bias"])
    return hidden @ weights["output_weights"] + weights["output_bias"]


def loss_of(weights: Weights, images: jax.Array, labels: jax.Array) -> jax.Array:
    """Return how wrong the network is, a single number."""
    logarithms = jax.nn.log_softmax(scores(weights, images))
    return -jnp.take_along_axis(logarithms, labels[:, None], axis=1).mean()


def train(seed: int, epochs: int) -> None:
    """Train with the other processes; process 0 leaves metrics and weights."""
    rank, processes = jax.process_index(), jax.process_count()
    (images, labels), test = load_images(seed)
    mesh = Mesh(np.array(jax.devices()), ("batch",))
    everywhere, divided = NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec("batch"))
    weights = {
        name: jax.make_array_from_process_local_data(everywhere, value) for name, value in first_weights(seed).items()
    }

    @partial(jax.jit, out_shardings=(everywhere, everywhere))
    def step(weights: Weights, images: jax.Array, labels: jax.Array) -> tuple[Weights, jax.Array]:
        """Return better weights; the mean over the divided batch is what the processes exchange."""
        loss, gradients = jax.value_and_grad(loss_of)(weights, images, labels)
        return {name: weights[name] - LEARNING_RATE * gradients[name] for name in weights}, loss

    def own_part(values: np.ndarray) -> jax.Array:
        return jax.make_array_from_process_local_data(divided, values)

    for epoch in range(1, epochs + 1):
        order = np.random.default_rng([seed, epoch]).permutation(len(images))
        for start in range(0, len(order) - BATCH * processes + 1, BATCH * processes):
            own = order[start + rank * BATCH : start + (rank + 1) * BATCH]
            weights, loss = step(weights, own_part(images[own]), own_part(labels[own]))
        print(f"process {rank} of {processes}: epoch {epoch} of {epochs}: loss {float(loss):.4f}", flush=True)
    if rank == 0:
        save(weights, test, {"processes": processes, "epochs": epochs})


def save(weights: Weights, test: Pairs, facts: dict[str, int]) -> None:
    """Leave the weights in MODEL_DIR and how well they do on the test images in OUTPUT_DIR."""
    own = {name: np.asarray(value.addressable_data(0)) for name, value in weights.items()}
    accuracy = float(np.mean(np.asarray(scores(own, test[0])).argmax(1) == test[1]))
    np.savez(os.path.join(os.environ["MODEL_DIR"], "weights.npz"), **own)
    with open(os.path.join(os.environ["OUTPUT_DIR"], "metrics.json"), "w", encoding="utf-8") as file:
        json.dump({"accuracy": accuracy, **facts}, file)
    print(f"accuracy {accuracy:.4f} on {len(test[1])} test images", flush=True)


if __name__ == "__main__":
    main()
