# One command for a person, the hooks and CI. `make setup` needs a Python 3.11, 3.12 or 3.13 and the
# package index; nothing else has to be installed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TEMPLATES := build/templates
LOCKS := requirements/project.txt requirements/uv.txt
CLOUD := $(BIN)/localcloud exec --

export PYTHONWARNINGS ?= ignore::DeprecationWarning
# Without compiled modules every process here would compile some thousand files anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup demo test test-slow lint lint-templates format bench up down lock clean help

help:  ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(READY)  ## install everything into .venv (once)

$(READY): $(LOCKS) setup.py localcloud/setup.py requirements/install.sh
	@PYTHON="$(PYTHON)" VENV="$(VENV)" sh requirements/install.sh
	@touch $@

demo: setup  ## the whole pipeline on this machine: data -> training -> gate -> registry -> a stage
	@$(BIN)/localcloud images
	@$(CLOUD) $(BIN)/python build_pipeline.py bootstrap
	@$(CLOUD) $(BIN)/python build_pipeline.py run --wait --output build/demo.json
	@echo
	@$(CLOUD) $(BIN)/python build_pipeline.py approve latest
	@$(CLOUD) $(BIN)/python -m deploy_endpoint deploy --stage staging --output build/demo.json --with-token
	@echo
	@$(CLOUD) $(BIN)/python -m deploy_endpoint smoke-test --stage staging
	@echo
	@echo "Written to build/demo.json. localcloud is still up; stop it with: make down"

test: setup  ## the tests (some minutes)
	@$(BIN)/python -m pytest -n 3 --dist loadfile -m "not slow and not alone"

test-slow: setup  ## faults, kills, browsers; then loads and benchmarks, one at a time
	@$(BIN)/python -m pytest -n 2 --dist loadfile -m slow
	@$(BIN)/python -m pytest -m alone

lint: setup  ## what the hooks check
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

lint-templates: setup $(TEMPLATES)/.ready  ## what linters of templates and policies say of the stacks
	@$(BIN)/cfn-lint deploy_endpoint/stacks/*.yaml
	@$(TEMPLATES)/bin/checkov --directory deploy_endpoint/stacks --compact --quiet --skip-download
	@rm -rf build/policies && PYTHONPATH=. $(BIN)/python tests/stages/stage_template.py build/policies
	@$(TEMPLATES)/bin/python -W ignore $(TEMPLATES)/bin/parliament --directory build/policies

$(TEMPLATES)/.ready: requirements/templates.txt
	@build/uv/bin/uv venv --quiet --clear --python $(BIN)/python $(TEMPLATES)
	@build/uv/bin/uv pip sync --quiet --require-hashes --python $(TEMPLATES)/bin/python requirements/templates.txt
	@touch $@

format: setup  ## mend what can be mended
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: setup  ## the benchmarks; each prints its figures as JSON on its last line
	@for file in benchmarks/*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done
	@echo "== a million rows" && $(BIN)/python benchmarks/pipeline_overhead.py --rows 1000000

up: setup  ## start localcloud
	@$(BIN)/localcloud images
	@$(BIN)/localcloud up

down:  ## stop localcloud; what it stored stays
	@if [ -x $(BIN)/localcloud ]; then $(BIN)/localcloud down; fi

lock: setup  ## resolve the requirements anew
	@sh requirements/lock.sh

clean: down  ## delete what was made, .venv too
	@rm -rf $(VENV) build .localcloud
