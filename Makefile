# The two commands of the README are `make demo` and `make test`; both start from nothing but Python and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := build/demo
REVIEWS := $(DEMO)/reviews.csv

.PHONY: demo test check bench-training bench-predict bench-resume bench-memory bench-answers bench-ablation bench-augmentation bench-kept bench-objectives bench-students bench-engines bench-stability bench-steady bench-quota clean

# An installed environment, made again when a pin or a dependency changes.
$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade -c constraints.txt -e '.[dev]'
	touch $@

demo: $(VENV)/installed
	PATH="$(CURDIR)/$(BIN):$$PATH" sh examples/demo.sh $(DEMO)

test: $(VENV)/installed
	$(BIN)/python -m pytest

check: $(VENV)/installed
	$(BIN)/ruff check src tests benchmarks examples docs
	$(BIN)/ruff format --check src tests benchmarks examples docs
	$(BIN)/mypy

clean:
	rm -rf build $(VENV)

# Benchmarks run on data of your own: `make bench-predict BUNDLE=model DATA=reviews.parquet`.
BUNDLE ?= $(DEMO)/model
DATA ?= $(REVIEWS)

bench-training: $(VENV)/installed
	$(BIN)/python benchmarks/training_speed.py $(DATA)

bench-predict: $(VENV)/installed
	$(BIN)/python benchmarks/predict_once.py $(BUNDLE)
	$(BIN)/python benchmarks/predict_batch.py $(BUNDLE) $(DATA)

bench-resume: $(VENV)/installed
	$(BIN)/python benchmarks/resume.py $(DATA)

bench-memory: $(VENV)/installed
	$(BIN)/python benchmarks/memory.py $(BUNDLE)

# UTILS_QA: examples/pytorch/question-answering/utils_qa.py of a transformers checkout.
bench-answers: $(VENV)/installed
	$(BIN)/python benchmarks/answers.py $(BUNDLE) $(UTILS_QA) build/peer $(DATA) 1 $(TEST)

bench-ablation: $(VENV)/installed
	$(BIN)/python benchmarks/ablation.py build/ablation 3 3 $(DATA)

bench-augmentation: $(VENV)/installed
	$(BIN)/python benchmarks/augmentation.py $(DATA)

bench-kept: $(VENV)/installed
	$(BIN)/python benchmarks/kept_teacher.py $(BUNDLE) $(DATA)

# TEACHER: a bundle that was trained on DATA.
bench-objectives: $(VENV)/installed
	$(BIN)/python benchmarks/objectives.py build/objectives L3 3 3 $(TEACHER) $(DATA)

bench-students: $(VENV)/installed
	$(BIN)/python benchmarks/students.py build/students L3 3 $(TEACHER) $(DATA)

# BUNDLE: compressed with --engine openvino --keep-all. CTranslate2 is timed where it is installed.
bench-engines: $(VENV)/installed
	$(BIN)/python benchmarks/engines.py $(BUNDLE) $(DATA)

bench-stability: $(VENV)/installed
	$(BIN)/python benchmarks/stability.py $(BUNDLE) $(DATA)

bench-steady: $(VENV)/installed
	$(BIN)/python benchmarks/steady.py $(BUNDLE)

bench-quota: $(VENV)/installed
	$(BIN)/python benchmarks/quota.py $(BUNDLE) $(DATA)
