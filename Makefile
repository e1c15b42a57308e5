# Corpusmill: `make help` lists what can be made. Needs GNU make 3.81 or later and Python 3.11 to 3.13, nothing else.

SHELL := /bin/sh
BIN := .venv/bin
# One more than there are cores where tests run: a good part of them waits for processes that they have started.
PROCESSES ?= 3
STAMP := .venv/.corpusmill-setup
# The system's certificates, as pip's: uv's own do not know an authority that an organization has added.
UV := UV_HTTP_TIMEOUT=$${UV_HTTP_TIMEOUT:-180} $(BIN)/uv --system-certs

# `make prove demo-kills`: the second word names the proof, so it gets an empty recipe of its own.
ifeq ($(firstword $(MAKECMDGOALS)),prove)
PROOF := $(word 2,$(MAKECMDGOALS))
ifneq ($(PROOF),)
.PHONY: $(PROOF)
$(PROOF):
	@:
endif
endif

.PHONY: help setup demo test prove check lint format lock bench-extraction bench-language bench-clean bench-dedup bench-dedup-growth bench-quality bench-tokenize bench-loader bench-planner bench-train bench-flink bench-backfill clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' Makefile

setup: $(STAMP) ## build .venv (again only when the lock or pyproject.toml has changed)
	@:

# A candidate counts only if it runs: a version manager's shim may be on PATH for a version that is not installed.
# Of uv's lines, those about packages under 100 MiB are left out. Packages are compiled once, for a minute of CPU time:
# where Python may not keep what it compiles (PYTHONDONTWRITEBYTECODE, read-only folders), each process that imports
# Beam would take 1.4 s more.
$(STAMP): pyproject.toml requirements/dev.txt requirements/bootstrap.txt
	@if [ -n "$(PYTHON)" ]; then set -- "$(PYTHON)"; else set -- python3.11 python3.12 python3.13 python3; fi; \
	python=; found=; \
	for candidate in "$$@"; do \
	  version=$$("$$candidate" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null) || continue; \
	  case "$$version" in \
	    3.11.*|3.12.*|3.13.*) \
	      if "$$candidate" -c 'import ensurepip, venv' 2>/dev/null; then python=$$candidate; break; fi; \
	      found="$$found $$candidate is $$version without the module venv (a package such as python3-venv);" ;; \
	    *) found="$$found $$candidate is $$version;" ;; \
	  esac; \
	done; \
	if [ -z "$$python" ]; then \
	  [ -n "$$found" ] || found=" none of $$* runs;"; \
	  echo "Python 3.11, 3.12 or 3.13 is needed:$$found install one, or name it: make setup PYTHON=/path/to/python3.12" >&2; \
	  exit 1; \
	fi; \
	if ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
	  echo "Making .venv with $$python ($$version)"; \
	  rm -rf .venv; "$$python" -m venv .venv || exit 1; \
	fi
	@echo "Installing the locked packages (a first time downloads 3.4 GB on Linux; later ones come from the cache)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt
	@rm -f .venv/.failed; { $(UV) pip sync --compile-bytecode --python $(BIN)/python --require-hashes requirements/dev.txt \
	  requirements/bootstrap.txt || touch .venv/.failed; } 2>&1 \
	  | grep -vE '^ ?([+~-]|Downloaded) |\([0-9.]{1,4}[MK]iB\)'; test ! -e .venv/.failed
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $(STAMP)
	@echo "Ready: $(BIN)/corpusmill"

demo: setup ## the whole chain on this machine: crawl, clean, deduplicate, tokenize, train, evaluate, fine-tune, report
	@$(BIN)/corpusmill demo

test: setup ## every test, fast ones first, on three processes (PROCESSES=0: on one; ARGS="-k name" narrows)
	@$(BIN)/python -m pytest -n $(PROCESSES) --dist loadscope $(ARGS)

prove: setup $(if $(filter fuzz,$(PROOF)),.venv-fuzz/.stamp) ## a long proof by name: make prove demo-kills (ARGS="--option value")
	@script=tests/proofs/$(subst -,_,$(PROOF)).py; \
	if [ -n "$(PROOF)" ] && [ -f "$$script" ]; then exec $(BIN)/python "$$script" $(ARGS); fi; \
	there=$$(ls tests/proofs 2>/dev/null | sed -n 's/\.py$$//p' | tr '_\n' '- '); \
	echo "no proof '$(PROOF)'; there are: $${there:-none}" >&2; exit 2

check: setup ## formatting, lint, types and import directions
	@$(BIN)/ruff format --check
	@$(BIN)/ruff check
	@$(BIN)/mypy
	@$(BIN)/lint-imports

lint: check ## the same as check

format: setup ## format the code and mend what ruff can
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

lock: setup ## resolve all versions anew into requirements/
	@$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade \
	  requirements/bootstrap.in -o requirements/bootstrap.txt
	@$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade \
	  --extra dev pyproject.toml -o requirements/dev.txt
	@$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --constraint requirements/dev.txt \
	  --extra pipelines --extra dataflow --extra s3 pyproject.toml -o requirements/worker.txt
	@$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --constraint requirements/dev.txt \
	  --extra training --extra s3 pyproject.toml -o requirements/trainer.txt
	@$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --constraint requirements/dev.txt \
	  --extra flows --extra dataflow --extra s3 pyproject.toml -o requirements/flows.txt
	@$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --constraint requirements/worker.txt \
	  requirements/bench.in -o requirements/bench.txt
	@$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade \
	  requirements/fuzz.in -o requirements/fuzz.txt

# A folder beside .venv, which the proof puts on its path.
.venv-fuzz/.stamp: requirements/fuzz.txt $(STAMP)
	@rm -rf .venv-fuzz
	@$(UV) pip install --quiet --python $(BIN)/python --target .venv-fuzz --require-hashes -r requirements/fuzz.txt
	@touch $@

# An environment of its own: what benchmarks compare with is not to be had beside everything else.
.venv-bench/.stamp: requirements/worker.txt requirements/bench.txt $(STAMP)
	@$(UV) venv --quiet --clear --python $(BIN)/python .venv-bench
	@$(UV) pip install --quiet --compile-bytecode --python .venv-bench/bin/python --require-hashes \
	  -r requirements/worker.txt -r requirements/bench.txt
	@touch $@

bench-extraction: .venv-bench/.stamp ## main-text extraction against its peers: F1 and pages per second
	@PYTHONPATH=. .venv-bench/bin/python tests/benchmarks/extraction_benchmark.py

bench-language: .venv-bench/.stamp ## language identification against its peers: accuracy and documents per second
	@PYTHONPATH=. .venv-bench/bin/python tests/benchmarks/language_benchmark.py

bench-clean: .venv-bench/.stamp ## raw pages to documents on all cores, beside datatrove with the same rules
	@PYTHONPATH=. .venv-bench/bin/python tests/benchmarks/clean_benchmark.py $(ARGS)

bench-dedup: .venv-bench/.stamp ## near-duplicates removed, beside rensa, text-dedup and datatrove: time, memory, what is found
	@PYTHONPATH=tests/support .venv-bench/bin/python tests/benchmarks/dedup_benchmark.py $(ARGS)

bench-dedup-growth: setup ## what a document costs deduplication in corpora of 10,000 to 1,000,000
	@$(BIN)/python tests/benchmarks/dedup_growth.py $(ARGS)

bench-quality: setup ## the quality classifier: area under the curve on other sites, and documents per second
	@$(BIN)/python tests/benchmarks/quality_benchmark.py

bench-tokenize: .venv-bench/.stamp ## the tokenize stage beside tokenizers, tiktoken, gigatoken and datatrove's stage: tokens per second a core
	@PYTHONPATH=. .venv-bench/bin/python tests/benchmarks/tokenize_benchmark.py $(ARGS)

bench-loader: .venv-bench/.stamp ## training batches beside nanoGPT's way and litdata: tokens per second, warm and cold, and resuming
	@PYTHONPATH=. .venv-bench/bin/python tests/benchmarks/loader_benchmark.py $(ARGS)

bench-planner: setup ## what a plan says of three shapes on this machine, beside real training steps
	@PYTHONPATH=. $(BIN)/python tests/benchmarks/planner_benchmark.py $(ARGS)

bench-train: setup ## training steps on this CPU beside nanoGPT's way and transformers' GPT-2: tokens per second
	@PYTHONPATH=. $(BIN)/python tests/benchmarks/train_benchmark.py $(ARGS)

bench-backfill: setup ## planning, submitting and running thousands of partitions, beside the work itself
	@$(BIN)/python tests/benchmarks/backfill_benchmark.py $(ARGS)

bench-flink: setup ## CPU time of the chain on Flink beside the local runner
	@$(BIN)/python tests/benchmarks/flink_cost.py

clean: ## remove .venv, caches and build outputs (never a corpus)
	@rm -rf .venv .venv-bench .venv-fuzz .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	@find schemas pipelines training flows tests -name __pycache__ -type d -prune -exec rm -rf {} +
