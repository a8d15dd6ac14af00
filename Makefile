# Every task of the project. `make demo` and `make test` do their own set-up: Python 3.11 (or newer) and make are enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BENCHES := demo intake scrub at_rest poisoning measure audit publish emerging scale
PEERS := pipelinedp tumult smartnoise opendp
SYSTEM_PACKAGES := libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 fonts-dejavu-core poppler-utils openssh-server postgresql openjdk-17-jre-headless chromium minisign
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help setup setup-run setup-system setup-peers setup-readers demo test test-long lint format docs bench lock clean

help: ## list the tasks
	@grep -hE '^[a-z%-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(VENV)/run.stamp: requirements/run.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed (make PYTHON=python3.11).") if sys.version_info < (3, 11) else None'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements/run.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/dev.stamp: requirements/dev.txt $(VENV)/run.stamp
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements/dev.txt
	@touch $@

setup-run: $(VENV)/run.stamp ## install what running needs, pinned by hash
setup: $(VENV)/dev.stamp ## install what development needs, pinned by hash

setup-system: ## install Debian packages that some outputs and tests need (the PDF's fonts and text layout, an SFTP server, PostgreSQL, a browser)
	@if ! command -v apt-get >/dev/null; then echo "no apt-get here: the PDF of the brief may be skipped"; \
	elif [ "$$(id -u)" != 0 ]; then echo "not root: run 'sudo make setup-system' for the PDF of the brief"; \
	else apt-get update -qq && DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends $(SYSTEM_PACKAGES) >/dev/null; fi

build/peers/%/stamp: requirements/peers-%.txt
	$(PYTHON) -m venv build/peers/$*
	build/peers/$*/bin/python -m pip install --quiet --no-deps --require-hashes -r $< && touch $@ || echo "$* cannot be installed here: bench-measure skips it"

setup-peers: $(PEERS:%=build/peers/%/stamp) ## install the peers of bench-measure, pinned by hash, each in an environment of its own

build/readers/stamp: requirements/readers.txt
	$(PYTHON) -m venv build/readers
	build/readers/bin/python -m pip install --quiet --no-deps --require-hashes -r $< && touch $@ || echo "the readers' tools cannot be installed here: their tests are skipped"

setup-readers: build/readers/stamp ## install what researchers use on a release (validators, pandas), pinned by hash, apart from our own

demo: setup-run ## all of it on synthetic data, below demo/
	$(BIN)/commons demo --root demo

test: setup setup-readers ## the tests (under 15 minutes on 2 cores)
	$(BIN)/python -m pytest -m "not long" -n 2 --dist loadfile --no-loadscope-reorder --durations=25 --durations-min=5

test-long: setup ## the long suites: attacks, audits, statistics over many seeds
	$(BIN)/python -m pytest -m long

lint: setup ## formatting, lint, types, import layers, stale documents
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m cli.documentation --check
	@! grep -nE 'https?://' requirements/*.txt || (echo "a requirements file names an address"; exit 1)

format: setup ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: setup ## write the generated documents anew
	$(BIN)/python -m cli.documentation

bench: setup $(addprefix bench-,$(BENCHES)) ## every benchmark

bench-measure: setup-peers
bench-%: setup ## one benchmark; prints a table and writes build/bench/NAME.json
	$(BIN)/python -m benchmarks.$*

lock: setup ## resolve requirements/*.txt anew
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-emit-index-url \
		--no-header --no-annotate pyproject.toml -o requirements/run.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-emit-index-url \
		--no-header --no-annotate --group dev --constraint requirements/run.txt pyproject.toml -o requirements/dev.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-emit-index-url \
		--no-header --no-annotate requirements/readers.in -o requirements/readers.txt
	for peer in $(PEERS); do $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-strip-extras \
		--no-emit-index-url --no-header --no-annotate requirements/peers-$$peer.in -o requirements/peers-$$peer.txt || exit 1; done

clean: ## remove what was built (not the demonstration's pool)
	rm -rf $(VENV) build .mypy_cache .ruff_cache .import_linter_cache .hypothesis
