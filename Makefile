# Each target is one or two commands that the README explains; PYTHON is any Python >= 3.10.
PYTHON ?= python3
VENV := .venv
JOB := $(VENV)/bin/job

.PHONY: quickstart test unit lint bench clean

$(VENV)/ready: pyproject.toml
	@echo "making a virtual environment in $(VENV), half a minute"
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --editable '.[sandbox,test]'
	touch $@

# The first job: a sandbox, a TensorFlow environment, a training job, its accuracy.
quickstart: $(VENV)/ready
	$(VENV)/bin/python examples/digits/quickstart.py

# Everything: style, types, unit tests, made-up inputs, then jobs on a real sandbox, run from the built wheel.
test: lint unit
	$(VENV)/bin/python -m pytest -m thorough -q
	$(VENV)/bin/python tests/run_cluster.py

unit: $(VENV)/ready
	$(VENV)/bin/python -m pytest -m "not cluster and not thorough" -q -n 2

lint: $(VENV)/ready
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(VENV)/bin/vermin --no-tips --quiet --violations -t=3.7- am/contract am/runtimes am/executor

bench: $(VENV)/ready
	$(VENV)/bin/python benchmarks/first_job.py

clean:
	rm -rf $(VENV) build dist
