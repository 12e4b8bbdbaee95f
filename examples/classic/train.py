"""Recognise hand-written digits the TensorFlow 1 way: between-graph replication over ps and workers.

Every worker builds the same graph; replica_device_setter puts its variables on the ps. The first worker (or a chief or
master, where the cluster has one) also initialises, saves and evaluates. TF_CONFIG, MODEL_DIR and CHECKPOINT_DIR are
set by `job run`; what lies in the two directories at the end is carried to HDFS.
"""

import argparse
import json
import os
import time
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf

TEST_IMAGES = 450  # of 1797; the other 1347 are for training
BATCH = 64
HIDDEN = 64
LEARNING_RATE = 0.3
SHOWN_EVERY = 200  # steps

Pairs = tuple[np.ndarray, np.ndarray]  # images, labels


def main() -> None:
    """Serve, when this task is a ps; train, when it is a worker or the chief."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="decides the split, the first weights and the batches")
    parser.add_argument("--steps", type=int, default=1000, help="training steps of all workers together")
    options = parser.parse_args()
    if "TF_CONFIG" not in os.environ:
        raise SystemExit("TF_CONFIG is not set; start this program with: job run (see examples/README.md)")
    config = json.loads(os.environ["TF_CONFIG"])
    cluster = tf.train.ClusterSpec(config["cluster"])
    role, index = config["task"]["type"], config["task"]["index"]
    tf.disable_eager_execution()
    server = tf.train.Server(cluster, job_name=role, task_index=index, protocol="grpc")
    if role == "ps":
        print(f"ps:{index} serves", flush=True)
        server.join()  # for ever: the job stops its ps when the workers have ended
    leads = role in ("chief", "master") or (index == 0 and not {"chief", "master"} & set(cluster.jobs))
    placed = tf.train.replica_device_setter(cluster=cluster, worker_device=f"/job:{role}/task:{index}")
    # Without filters a session waits for every other worker, even for one that has done its part and left.
    reach = tf.ConfigProto(device_filters=["/job:ps", f"/job:{role}/task:{index}"])
    train(server.target, reach, placed, options, f"{role}:{index}", leads=leads)


def load_images(seed: int) -> tuple[Pairs, Pairs]:
    """Return the digits of scikit-learn in two parts: for training, for the test."""
    from sklearn.datasets import load_digits  # here, because no ps needs it

    digits = load_digits()
    images = (digits.data / 16).astype(np.float32)
    labels = digits.target.astype(np.int32)
    order = np.random.default_rng(seed).permutation(len(images))
    test, training = order[:TEST_IMAGES], order[TEST_IMAGES:]
    return (images[training], labels[training]), (images[test], labels[test])


def build(seed: int) -> tuple[Any, Any, dict[str, Any], dict[str, Any]]:
    """Build the graph: placeholders, a network of one hidden layer, and what can be asked of it."""
    tf.set_random_seed(seed)
    images = tf.placeholder(tf.float32, [None, 64], "images")
    labels = tf.placeholder(tf.int32, [None], "labels")
    first = tf.random_normal_initializer(stddev=0.1, seed=seed)
    hidden_weights = tf.get_variable("hidden_weights", [64, HIDDEN], initializer=first)
    hidden_bias = tf.get_variable("hidden_bias", [HIDDEN], initializer=tf.zeros_initializer())
    output_weights = tf.get_variable("output_weights", [HIDDEN, 10], initializer=first)
    output_bias = tf.get_variable("output_bias", [10], initializer=tf.zeros_initializer())
    scores = tf.nn.relu(images @ hidden_weights + hidden_bias) @ output_weights + output_bias
    loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=scores))
    right = tf.equal(tf.argmax(scores, 1, output_type=tf.int32), labels)
    step = tf.train.get_or_create_global_step()
    minimize = tf.train.GradientDescentOptimizer(LEARNING_RATE).minimize(loss, global_step=step)
    return (
        images,
        labels,
        {"train": minimize, "step": step},
        {"accuracy": tf.reduce_mean(tf.cast(right, tf.float32)), "loss": loss},
    )


def train(target: str, reach: Any, placed: Any, options: argparse.Namespace, me: str, *, leads: bool) -> None:
    """Train until all workers together have done the steps; the one that leads saves what came out."""
    training, test = load_images(options.seed)
    with tf.device(placed):
        images, labels, training_step, measures = build(options.seed)
    weights = {variable.op.name: variable for variable in tf.trainable_variables()}
    for variable in tf.trainable_variables():
        print(f"variable {variable.name} lies on {variable.device}", flush=True)
    hooks = [tf.train.StopAtStepHook(last_step=options.steps)]
    if leads:
        hooks.append(SaveAtEnd(weights, measures, {images: test[0], labels: test[1]}, options.seed))
    else:
        wait_until_initialised(target, reach)
    batches = np.random.default_rng([options.seed, *me.encode()])
    done = shown = 0
    with tf.train.MonitoredTrainingSession(
        master=target,
        config=reach,
        is_chief=leads,
        checkpoint_dir=os.environ["CHECKPOINT_DIR"] if leads else None,
        hooks=hooks,
        save_summaries_steps=None,
        log_step_count_steps=None,
    ) as session:
        while not session.should_stop():
            some = batches.integers(len(training[0]), size=BATCH)
            step = session.run(training_step, {images: training[0][some], labels: training[1][some]})["step"]
            done += 1
            if step >= shown + SHOWN_EVERY:
                shown = step
                print(f"step {step} of {options.steps}, {done} of them by {me}", flush=True)
    print(f"{me} did {done} steps", flush=True)


def wait_until_initialised(target: str, reach: Any) -> None:
    """Wait until the variables have their first values; MonitoredTrainingSession would look every 30 s only."""
    missing = tf.report_uninitialized_variables(tf.global_variables())
    with tf.Session(target, config=reach) as session:
        while len(session.run(missing)):
            time.sleep(0.1)


class SaveAtEnd(tf.train.SessionRunHook):
    """Leaves weights and metrics in MODEL_DIR when the training has ended."""

    def __init__(self, weights: dict[str, Any], measures: dict[str, Any], test: dict[Any, Any], seed: int) -> None:
        self.weights, self.measures, self.test, self.seed = weights, measures, test, seed

    def end(self, session: Any) -> None:
        """Ask the ps for the weights as they are now, and try them on the test images."""
        model_dir = os.environ["MODEL_DIR"]
        np.savez(os.path.join(model_dir, "weights.npz"), **session.run(self.weights))
        found = session.run(self.measures, self.test)
        metrics = {"accuracy": float(found["accuracy"]), "test_loss": float(found["loss"]), "seed": self.seed}
        with open(os.path.join(model_dir, "metrics.json"), "w", encoding="utf-8") as file:
            json.dump(metrics, file)
        print(f"accuracy {metrics['accuracy']:.4f} on {TEST_IMAGES} test images", flush=True)


if __name__ == "__main__":
    main()
