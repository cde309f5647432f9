# Everything a developer needs. `make` alone says what there is.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

# uv from PATH, else a copy of its own inside the project.
UV := $(shell command -v uv || echo .uv/bin/uv)
RUN := .venv/bin/
# Tools that the tests do not need, each list in a throw-away environment: $(call tools,LIST) PROGRAM ...
tools = $(UV) run --quiet --no-project --isolated --with-requirements dev/tools/$(1).txt --
READY := .venv/.ready

# Use a Python that is there; never fetch one.
export UV_PYTHON_DOWNLOADS := never
# Compiled once, what is installed as well as what is here, instead of by every start of every Airflow process.
export UV_COMPILE_BYTECODE := 1
unexport PYTHONDONTWRITEBYTECODE

# Processes of pytest. Much of the tests' time is waiting for livestreams: two more than two cores keep both busy.
# WORKERS=0 runs the tests in the first process, for a debugger or for a few of them.
WORKERS ?= 4
PARALLEL := -n $(WORKERS) --no-loadscope-reorder

.PHONY: help install demo up test test-fast bench bench-parsing faults cluster soak matrix upgrade lint board-lint package sbom audit workflow-lint docs mutate tools format clean

help: ## Say what there is.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' \
		| while IFS=$$'\t' read -r name text; do printf '  make %-13s %s\n' "$$name" "$$text"; done

install: $(READY) ## Set up the environment in .venv (the other targets do it themselves).

demo: $(READY) ## One livestream from DAG to END on this machine. CAMPAIGN=file: a campaign of up to three.
	@$(RUN)python -m $(if $(CAMPAIGN),dev.campaign_demo $(CAMPAIGN),dev.demo)

up: $(READY) ## The same, then three rooms go live, and all stays until Ctrl-C: see the board.
	@$(RUN)python -m dev.demo --stay

test: $(READY) ## All tests, with the share of branches that they reach. ARGS="..." goes to pytest; WORKERS=0: in one process.
	$(RUN)python -m pytest $(PARALLEL) --cov --cov-report= $(ARGS)

test-fast: $(READY) ## The tests that start no processes.
	$(RUN)python -m pytest $(PARALLEL) -m "not processes" $(ARGS)

bench: .bench/.ready ## Measure this provider beside its peers, an hour. QUICK=1: a try of 5 minutes.
	@.bench/venv/bin/python -m dev.bench $(if $(QUICK),--quick)

bench-parsing: .bench/.ready ## Parse a hundred campaigns, beside dag-factory.
	@.bench/venv/bin/python -m dev.bench.parsing --write

faults: $(READY) ## Kill everything, everywhere, and count. RUNS=n SEED=s; ONLY="3 7" plays these runs again.
	@$(RUN)python -W ignore -m dev.faults $(if $(RUNS),--runs $(RUNS)) $(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only $(ONLY))

cluster: $(READY) ## Airflow on many hosts, each killed, frozen and cut off, and count; 20 minutes.
	@$(RUN)python -W ignore -m dev.cluster

soak: .soak/.ready ## 1,000 livestreams wait on that cluster, 20 minutes: what grows? And 500 ENDs at once. MINUTES=5 for less.
	@.soak/venv/bin/python -W ignore -m dev.cluster.soak $(if $(MINUTES),--minutes $(MINUTES))

matrix: $(READY) ## Try every version that is claimed. CELLS="oldest/3.11/*", SHORT=1, WRITE=1: into the docs.
	@$(RUN)python -m dev.matrix $(if $(SHORT),--short) $(if $(WRITE),--write) $(foreach cell,$(CELLS),'$(cell)')

upgrade: $(READY) ## Livestreams wait while Airflow is upgraded, and end. TO=release (the newest), DATABASE=sqlite.
	@$(RUN)python -W ignore -m dev.upgrade $(if $(TO),--to $(TO)) $(if $(DATABASE),--database $(DATABASE))

lint: $(READY) ## Style, types, import contracts and dead code.
	$(RUN)ruff check
	$(RUN)ruff format --check
	$(RUN)mypy airflow_provider_smartlive dev
	@# TaskFlow's types do not tell that a task takes another task's result.
	$(RUN)mypy --disable-error-code arg-type dags
	$(RUN)lint-imports
	$(RUN)python -m dev.dead_code

board-lint: node_modules/.ready ## Style and types of the board's JavaScript. Needs node and npm.
	npm run lint

package: | $(UV) ## Build sdist and wheel into dist/, and check what PyPI and its readers get to see.
	rm -rf dist
	$(UV) build --quiet --out-dir dist
	$(call tools,package) validate-pyproject pyproject.toml
	$(call tools,package) twine check --strict dist/*.whl dist/*.tar.gz
	$(call tools,package) check-wheel-contents dist/*.whl
	@# 8 of 10 with that test: the maintainers have no e-mail address to name. SECURITY.md says how they are reached.
	$(call tools,package) pyroma --skip-tests AuthorEmail --min 10 dist/*.tar.gz

sbom: | $(UV) ## Write what a release depends on into dist/sbom.cdx.json (CycloneDX), from uv.lock.
	mkdir -p dist
	$(UV) export --quiet --locked --no-dev --all-extras --format cyclonedx1.5 --output-file dist/sbom.cdx.json >/dev/null

audit: | $(UV) ## Ask PyPI for known vulnerabilities of what is locked.
	mkdir -p dist
	$(UV) export --quiet --locked --no-dev --all-extras --no-emit-project --output-file dist/locked.txt >/dev/null
	$(call tools,security) pip-audit --strict --disable-pip --require-hashes --requirement dist/locked.txt

workflow-lint: | $(UV) ## Look for risks in the workflows of .github.
	$(call tools,security) zizmor --offline --pedantic .github

docs: | $(UV) ## Build the documentation's site into .docs/html.
	rm -rf .docs
	$(call tools,docs) python -m sphinx --quiet --fail-on-warning --keep-going -c docs -d .docs/doctrees . .docs/html
	echo '<meta http-equiv="refresh" content="0; url=docs/site.html">' > .docs/html/index.html

mutate: $(READY) ## Change what decides line by line, and see that a test fails; six minutes. MODULE=signing for one.
	rm -rf mutants
	$(UV) run --quiet --locked --with-requirements dev/tools/mutate.txt mutmut run $(if $(MODULE),'*.$(MODULE).*')
	@$(RUN)python -m dev.mutation

tools: | $(UV) ## Take the newest versions of the tools of dev/tools/*.in.
	@for list in dev/tools/*.in; do \
		$(UV) pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-annotate \
			--custom-compile-command "make tools" $$list --output-file $${list%.in}.txt; \
	done

format: $(READY) ## Put the code into the project's style.
	@# First, since a check that finds what it cannot mend ends the target.
	$(RUN)ruff format
	$(RUN)ruff check --fix
	$(RUN)ruff format --quiet

clean: ## Remove everything that can be made again.
	rm -rf .venv .uv .demo .soak .bench .cluster .faults .matrix .upgrade .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache node_modules dist build .docs api mutants

$(READY): pyproject.toml uv.lock | $(UV)
	$(UV) sync --locked
	@touch $@

# The same versions as in .venv, and the peers: they must not be in the way of the tests.
.bench/.ready: pyproject.toml uv.lock | $(UV)
	UV_PROJECT_ENVIRONMENT=.bench/venv $(UV) sync --locked --group bench
	$(UV) pip install --python .bench/venv/bin/python airflow-provider-inbound-webhooks==0.2.0 dag-factory==1.1.0
	@touch $@

.soak/.ready: pyproject.toml uv.lock | $(UV)
	UV_PROJECT_ENVIRONMENT=.soak/venv $(UV) sync --locked --group bench
	@touch $@

node_modules/.ready: package.json package-lock.json
	npm ci --no-audit --no-fund
	@touch $@

.uv/bin/uv:
	python3 -m venv .uv
	.uv/bin/pip install --quiet 'uv>=0.9,<1'
