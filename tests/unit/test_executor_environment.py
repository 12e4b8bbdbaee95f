"""What the command's environment says of the job's places, as Submarine's and our documentation promise it."""

from __future__ import annotations

import pytest
from executor_world import plan

from am.executor.environment import Surroundings, Task, child_environment, make_directories

TASK = Task("worker", 0, 1, "application_1_0001")


@pytest.mark.parametrize(
    ("input_path", "data_dir", "found"),
    [("hdfs://nn/in", "", "hdfs://nn/in"), ("/home/ada/data", "input", "HERE/input"), ("", "", None)],
)
def test_where_the_input_is(tmp_path, input_path, data_dir, found):
    """INPUT_PATH and DATA_DIR: the place on the store, or where a local input was brought; none is no variable."""
    here = Surroundings({}, str(tmp_path), make_directories(str(tmp_path)), {}, "key")
    job = plan(input_path=input_path, data_dir=data_dir, checkpoint_path="hdfs://nn/c", saved_model_path="hdfs://nn/m")
    environment = child_environment(job, TASK, {"worker": ("nm:1",)}, here)
    expected = found and found.replace("HERE", str(tmp_path))
    assert (environment.get("INPUT_PATH"), environment.get("DATA_DIR")) == (expected, expected)
    assert environment["CHECKPOINT_PATH"] == "hdfs://nn/c"
    assert environment["SAVED_MODEL_PATH"] == "hdfs://nn/m"


def test_secrets_win_over_variables_of_the_same_name(tmp_path):
    """What comes from a secret is what the command finds."""
    here = Surroundings({"KEY": "node"}, str(tmp_path), make_directories(str(tmp_path)), {"KEY": "s3cret"}, "key")
    environment = child_environment(plan(env={"KEY": "plan"}), TASK, {"worker": ("nm:1",)}, here)
    assert environment["KEY"] == "s3cret"
