"""Recognise hand-written digits on equal workers: TensorFlow's MultiWorkerMirroredStrategy.

Every worker holds a copy of the model and trains on its own part of the images; in each step the workers agree on the
mean of their changes. TF_CONFIG, OUTPUT_DIR and MODEL_DIR are set by `job run`; what lies in the two directories at the
end is carried to HDFS. Worker 0 says how good the model is.
"""

import argparse
import json
import os
import time
from typing import Any

import numpy as np
import tensorflow as tf

TEST_IMAGES = 450  # of 1797; the other 1347 are for training
BATCH = 32  # of each worker
HIDDEN = 64
LEARNING_RATE = 0.3

Pairs = tuple[np.ndarray, np.ndarray]  # images, labels


def main() -> None:
    """Train as one of the workers that TF_CONFIG names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="decides the split, the first weights and the batches")
    parser.add_argument("--epochs", type=int, default=20, help="times that every training image is seen")
    options = parser.parse_args()
    if "TF_CONFIG" not in os.environ:
        raise SystemExit("TF_CONFIG is not set; start this program with `job run`, see examples/README.md")
    cluster = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    # Before anything else of TensorFlow: it starts the server that the other workers wait for.
    strategy = tf.distribute.MultiWorkerMirroredStrategy(cluster)
    train(strategy, cluster.task_id, options.seed, options.epochs)


def load_images(seed: int) -> tuple[Pairs, Pairs]:
    """Return the digits of scikit-learn in two parts: for training, for the test."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = (digits.data / 16).astype(np.float32)
    labels = digits.target.astype(np.int32)
    order = np.random.default_rng(seed).permutation(len(images))
    test, training = order[:TEST_IMAGES], order[TEST_IMAGES:]
    return (images[training], labels[training]), (images[test], labels[test])


class Network(tf.Module):
    """64 pixels, one hidden layer, 10 digits; its copies take the mean of the changes that are assigned to them."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        dice = np.random.default_rng(seed)
        self.hidden_weights = shared(dice.normal(scale=0.1, size=[64, HIDDEN]))
        self.hidden_bias = shared(np.zeros([HIDDEN]))
        self.output_weights = shared(dice.normal(scale=0.1, size=[HIDDEN, 10]))
        self.output_bias = shared(np.zeros([10]))

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        """Return a score for each digit."""
        hidden = tf.nn.relu(images @ self.hidden_weights + self.hidden_bias)
        return hidden @ self.output_weights + self.output_bias


def shared(first: np.ndarray) -> tf.Variable:
    """Return a variable with a copy on every worker."""
    return tf.Variable(first.astype(np.float32), aggregation=tf.VariableAggregation.MEAN)


def loss_of(network: Network, images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Return how wrong the network is, a single number."""
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, network(images)))


def train(strategy: Any, index: int, seed: int, epochs: int) -> None:
    """Train with the other workers; the first one leaves metrics and weights."""
    (images, labels), test = load_images(seed)
    workers = strategy.num_replicas_in_sync
    steps = len(images) // (BATCH * workers)
    with strategy.scope():
        network = Network(seed)

    def own_batches(_: Any) -> tf.data.Dataset:
        data = tf.data.Dataset.from_tensor_slices((images[index::workers], labels[index::workers]))
        return data.shuffle(len(images), seed=seed).repeat().batch(BATCH)

    def step(some: Pairs) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = loss_of(network, *some)
        weights = network.trainable_variables
        for variable, gradient in zip(weights, tape.gradient(loss, weights), strict=True):
            variable.assign_sub(LEARNING_RATE * gradient)
        return loss

    @tf.function
    def epoch(iterator: Any) -> tf.Tensor:
        """Train all steps of an epoch; return the loss of the last."""
        loss = 0.0
        for _ in tf.range(steps):
            loss = strategy.reduce(tf.distribute.ReduceOp.MEAN, strategy.run(step, (next(iterator),)), axis=None)
        return loss

    iterator = iter(strategy.distribute_datasets_from_function(own_batches))
    start = time.monotonic()
    for number in range(1, epochs + 1):
        loss = float(epoch(iterator))
        print(f"epoch {number} of {epochs}: loss {loss:.4f} after {time.monotonic() - start:.1f} s", flush=True)
    if index == 0:
        save(network, test, {"workers": workers, "seed": seed, "epochs": epochs})


def save(network: Network, test: Pairs, facts: dict[str, Any]) -> None:
    """Leave the weights in MODEL_DIR and how well they do on the test images in OUTPUT_DIR."""
    images, labels = test
    accuracy = float(np.mean(np.argmax(network(images), axis=1) == labels))
    names = ("hidden_weights", "hidden_bias", "output_weights", "output_bias")
    weights = {name: getattr(network, name).numpy() for name in names}
    np.savez(os.path.join(os.environ["MODEL_DIR"], "weights.npz"), **weights)
    with open(os.path.join(os.environ["OUTPUT_DIR"], "metrics.json"), "w", encoding="utf-8") as file:
        json.dump({"accuracy": accuracy, **facts}, file)
    print(f"accuracy {accuracy:.4f} on {len(labels)} test images", flush=True)


if __name__ == "__main__":
    main()
