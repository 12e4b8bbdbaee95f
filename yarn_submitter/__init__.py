"""yarn-submitter: run a training job on a Hadoop cluster with one command."""

__version__ = "0.1.0"
