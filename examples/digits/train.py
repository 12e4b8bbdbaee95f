"""Recognise hand-written digits with parameter servers: TensorFlow's ParameterServerStrategy.

One program for every task; the role in TF_CONFIG says what a task does. A `ps` holds the variables, a `worker` computes
gradients, and the `chief` builds the model, hands out the training steps, and saves what came out. TF_CONFIG, MODEL_DIR
and CHECKPOINT_DIR are set by `job run`; what lies in the two directories at the end is carried to HDFS.
"""

import argparse
import json
import os
import time
from typing import Any

import numpy as np
import tensorflow as tf

TEST_IMAGES = 450  # of 1797; the other 1347 are for training
BATCH = 32
HIDDEN = 64
LEARNING_RATE = 0.3
SAVED_EVERY = 10  # epochs
# The variables lie on the ps, but files must be written by the chief: no path is shared between tasks.
HERE = "/job:chief"

Pairs = tuple[np.ndarray, np.ndarray]  # images, labels


def main() -> None:
    """Serve, when this task is a worker or a ps; train, when it is the chief."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="decides the split, the first weights and the batches")
    parser.add_argument("--epochs", type=int, default=20, help="times that every training image is seen")
    options = parser.parse_args()
    if "TF_CONFIG" not in os.environ:
        raise SystemExit("TF_CONFIG is not set; start this program with `job run`, see examples/README.md")
    cluster = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    if cluster.task_type == "chief":
        train(cluster, options.seed, options.epochs)
    else:
        serve(cluster)


def serve(cluster: Any) -> None:
    """Do what the chief says, for ever: the job stops its workers and ps when the chief has ended."""
    role, index = cluster.task_type, cluster.task_id
    server = tf.distribute.Server(cluster.cluster_spec(), job_name=role, task_index=index, protocol="grpc")
    print(f"{role}:{index} serves", flush=True)
    server.join()


def load_images(seed: int) -> tuple[Pairs, Pairs]:
    """Return the digits of scikit-learn in two parts: for training, for the test."""
    from sklearn.datasets import load_digits  # here, because only the chief needs it

    digits = load_digits()
    images = (digits.data / 16).astype(np.float32)
    labels = digits.target.astype(np.int32)
    order = np.random.default_rng(seed).permutation(len(images))
    test, training = order[:TEST_IMAGES], order[TEST_IMAGES:]
    return (images[training], labels[training]), (images[test], labels[test])


class Network(tf.Module):
    """64 pixels, one hidden layer, 10 digits."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        dice = tf.random.Generator.from_seed(seed)
        self.hidden_weights = tf.Variable(dice.normal([64, HIDDEN], stddev=0.1), name="hidden_weights")
        self.hidden_bias = tf.Variable(tf.zeros([HIDDEN]), name="hidden_bias")
        self.output_weights = tf.Variable(dice.normal([HIDDEN, 10], stddev=0.1), name="output_weights")
        self.output_bias = tf.Variable(tf.zeros([10]), name="output_bias")

    @tf.function(input_signature=[tf.TensorSpec([None, 64], tf.float32)])
    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        """Return a score for each digit."""
        hidden = tf.nn.relu(images @ self.hidden_weights + self.hidden_bias)
        return hidden @ self.output_weights + self.output_bias


def loss_of(network: Network, images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Return how wrong the network is, a single number."""
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, network(images)))


def train(cluster: Any, seed: int, epochs: int) -> None:
    """Train over the cluster; leave checkpoint, model and metrics."""
    strategy = tf.distribute.ParameterServerStrategy(cluster)
    coordinator = tf.distribute.coordinator.ClusterCoordinator(strategy)
    (images, labels), test = load_images(seed)
    with strategy.scope():
        network = Network(seed)
        epoch = tf.Variable(0, name="epoch", dtype=tf.int64)
    for variable in network.trainable_variables:
        print(f"variable {variable.name} lies on {variable.device}", flush=True)

    checkpoint = tf.train.Checkpoint(network=network, epoch=epoch)
    by_chief = tf.train.CheckpointOptions(experimental_io_device=HERE)
    manager = tf.train.CheckpointManager(checkpoint, os.environ["CHECKPOINT_DIR"], max_to_keep=2)
    if manager.latest_checkpoint:
        checkpoint.restore(manager.latest_checkpoint, by_chief)
        print(f"goes on after epoch {int(epoch)}", flush=True)

    def batches() -> tf.data.Dataset:
        data = tf.data.Dataset.from_tensor_slices((images, labels))
        return data.shuffle(len(images), seed=seed).repeat().batch(BATCH)

    @tf.function
    def step(iterator: Any) -> tf.Tensor:
        """Run on a worker: read the weights from the ps, send it the changes."""
        some_images, some_labels = next(iterator)
        with tf.GradientTape() as tape:
            loss = loss_of(network, some_images, some_labels)
        weights = network.trainable_variables
        for variable, gradient in zip(weights, tape.gradient(loss, weights), strict=True):
            variable.assign_sub(LEARNING_RATE * gradient)
        return loss

    iterator = iter(coordinator.create_per_worker_dataset(batches))
    start = time.monotonic()
    while int(epoch) < epochs:
        losses = [coordinator.schedule(step, args=(iterator,)) for _ in range(len(images) // BATCH)]
        coordinator.join()
        epoch.assign_add(1)
        loss = np.mean([value.fetch() for value in losses])
        print(f"epoch {int(epoch)} of {epochs}: loss {loss:.4f} after {time.monotonic() - start:.1f} s", flush=True)
        if int(epoch) % SAVED_EVERY == 0 or int(epoch) == epochs:
            manager.save(options=by_chief)
    save(network, test, {"seed": seed, "epochs": int(epoch)})


def save(network: Network, test: Pairs, facts: dict[str, Any]) -> None:
    """Leave the model and how well it does on the test images in MODEL_DIR."""
    images, labels = test
    accuracy = float(np.mean(np.argmax(network(images), axis=1) == labels))
    metrics = {"accuracy": accuracy, "test_loss": float(loss_of(network, images, labels)), **facts}
    model_dir = os.environ["MODEL_DIR"]
    tf.saved_model.save(network, model_dir, options=tf.saved_model.SaveOptions(experimental_io_device=HERE))
    with open(os.path.join(model_dir, "metrics.json"), "w", encoding="utf-8") as file:
        json.dump(metrics, file)
    print(f"accuracy {accuracy:.4f} on {len(labels)} test images", flush=True)


if __name__ == "__main__":
    main()
