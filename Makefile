# `make help` lists what there is. Everything lives in .venv; nothing is installed elsewhere.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
export PIP_DISABLE_PIP_VERSION_CHECK = 1
# Images often set it; each of the many processes here would compile what it imports.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: bench-import prove-lean bench-hub-backup bench-hub-size bench-hub-moves record-hub prove-hub prove-fluent prove-hub-memory help install demo serve test test-services check mlflow-env services-tools record-contract record-searches bench bench-all bench-fluent bench-hub bench-hub-artifacts bench-score bench-processes prove-resume prove-bodies prove-packages load docs dashboards format lock clean bench-loading prove-rollout release

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): requirements/dev.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Penstock needs Python 3.11 or newer, this is " + sys.version.split()[0] + "; try: make PYTHON=python3.12") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements/dev.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

install: $(STAMP)  ## the environment in .venv, with the penstock command

demo: $(STAMP)  ## package, register, serve, promote and score sample models; ends by itself
	$(BIN)/penstock demo

serve: $(STAMP)  ## the same set-up, then a server on port 8080 until Ctrl-C
	$(BIN)/penstock demo --stay

# Tests wait for processes as often as they compute; a file's tests stay together, since they share what it makes.
test: AT_ONCE ?= 3
test: $(STAMP)  ## every test that pip alone can serve, three files at once: make test AT_ONCE=1
	$(BIN)/python -m pytest --numprocesses $(AT_ONCE) --dist loadfile --no-loadscope-reorder

mlflow-env: $(STAMP)  ## MLflow in an environment of its own, .venv-mlflow
	$(BIN)/python tests/contract/environment.py

services-tools: $(STAMP)  ## helm and the schemas of Kubernetes, in build/services
	$(BIN)/python tests/services/make_tools.py

test-services: $(STAMP) mlflow-env services-tools  ## tests against real services, and those that take long: MLflow, Prometheus, helm, images, killed scoring jobs
	$(BIN)/python -m pytest -m services

record-contract: $(STAMP) mlflow-env  ## ask real MLflow every question of the contract suite again
	PYTHONPATH=tests .venv-mlflow/bin/python -m contract.record

record-hub: $(STAMP) mlflow-env  ## ask real MLflow every request again that is replayed to the hub: make record-hub GROUPS='runs malformed'
	$(VENV)/bin/python tests/hub/recorded/record.py $(GROUPS)

record-searches: $(STAMP) mlflow-env  ## ask real MLflow every recorded search again
	PYTHONPATH=tests .venv-mlflow/bin/python -m mlflow_api.search.record

bench: $(STAMP) mlflow-env  ## Penstock, MLflow and the floor under the same load, then model processes and scoring; tables and plots in build/bench
	$(BIN)/python loadtests/bench.py --out build/bench $(BENCH)
	$(BIN)/python loadtests/processes.py --out build/bench/processes $(PROCESSES)
	$(BIN)/python loadtests/loading.py --apart --runs 1 --format pickle --current forest
	$(BIN)/python loadtests/bench_score.py --out build/bench/score --rows 5000000 --memory-rows 1000000 --forest-rows 2000000

bench-all: $(STAMP) mlflow-env  ## the same with more models and bodies, two workers, and every locust file; takes longer
	$(BIN)/python loadtests/bench.py --out build/bench-all --all $(BENCH)

bench-hub: $(STAMP) mlflow-env  ## the hub beside mlflow server, in turn: make bench-hub HUB='--rounds 3'
	$(BIN)/python loadtests/bench_hub.py --out build/bench-hub $(HUB)

bench-hub-artifacts: $(STAMP)  ## 2 GB through the hub both ways beside a plain copy, and slow downloads beside runs: make bench-hub-artifacts ARTIFACTS='--rounds 5'
	$(BIN)/python loadtests/bench_hub_artifacts.py --out build/bench-hub $(ARTIFACTS)

bench-import: $(STAMP) mlflow-env  ## an import of ten million points from MLflow's database: make bench-import IMPORT='--runs 1000'
	$(BIN)/python loadtests/bench_import.py $(IMPORT)

bench-hub-size: $(STAMP)  ## the hub with ten million points, on SQLite and on PostgreSQL: make bench-hub-size SIZE='--only sqlite'
	$(BIN)/python loadtests/bench_hub_size.py --out build/bench-hub $(SIZE)

prove-hub: $(STAMP)  ## a hub killed at 50 random moments loses nothing that it answered: make prove-hub PROVE='--seed 7'
	$(BIN)/python loadtests/prove_hub.py $(PROVE)

prove-fluent: $(STAMP)  ## training programs killed at 50 random moments lose the last 0.2 s at most, and those that end otherwise nothing: make prove-fluent PROVE='--seed 7'
	$(BIN)/python loadtests/prove_fluent.py $(PROVE)

prove-hub-memory: $(STAMP)  ## the memory of a hub stays flat under minutes of mixed work, on SQLite and PostgreSQL: make prove-hub-memory PROVE='--minutes 20'
	$(BIN)/python loadtests/prove_hub_memory.py --out build/bench-hub $(PROVE)

bench-hub-backup: $(STAMP)  ## a store of ten million points saved, restored and collected: make bench-hub-backup BACKUP='--runs 1000'
	$(BIN)/python loadtests/bench_hub_backup.py --out build/bench-hub $(BACKUP)

bench-hub-moves: $(STAMP)  ## how soon a gateway that follows a hub hears of a promotion: make bench-hub-moves MOVES='--only hubs'
	$(BIN)/python loadtests/bench_hub_moves.py --out build/bench-hub $(MOVES)

bench-fluent: $(STAMP) mlflow-env  ## what logging costs a training loop, penstock.tracking beside MLflow's client: make bench-fluent FLUENT='--rounds 5'
	$(BIN)/python loadtests/bench_fluent.py --out build/bench-fluent $(FLUENT)

bench-score: $(STAMP) mlflow-env  ## scoring files against the bare loop and mlflow models predict: make bench-score SCORE='--rows 2000000'
	$(BIN)/python loadtests/bench_score.py --out build/bench-score $(SCORE)

prove-resume: $(STAMP)  ## scoring jobs killed at 30 random moments and resumed: make prove-resume PROVE='--seed 7'
	$(BIN)/python loadtests/prove_resume.py --out build/prove-resume $(PROVE)

prove-bodies: $(STAMP)  ## hundreds of hostile request bodies against a real server: make prove-bodies PROVE='--kind csv'
	PYTHONPATH=tests $(BIN)/python loadtests/prove_bodies.py --out build/prove-bodies $(PROVE)

prove-packages: $(STAMP)  ## a hundred hostile packages and some faults, on one worker and on two: make prove-packages PROVE='--kind onnx'
	PYTHONPATH=tests $(BIN)/python loadtests/prove_packages.py $(PROVE)

LEAN_VERSIONS = 1.5.2 1.6.1 1.7.2 1.8.0
prove-lean: $(STAMP)  ## lean predict against the reviewed versions of scikit-learn that are not installed
	for version in $(LEAN_VERSIONS); do echo "scikit-learn $$version"; \
		test -d build/sklearn-$$version || $(BIN)/pip install -q --no-deps --target build/sklearn-$$version scikit-learn==$$version || exit 1; \
		PYTHONPATH=build/sklearn-$$version $(BIN)/python -m pytest -q -W ignore tests/flavors/sklearn/test_lean.py || exit 1; done

bench-loading: $(STAMP)  ## what callers notice while a forest of 250 MB loads: make bench-loading LOADING='--runs 1 --workers 2'
	$(BIN)/python loadtests/loading.py $(LOADING)

bench-beside: $(STAMP)  ## what callers of one row notice of a client that sends 20 MB without pause: make bench-beside BESIDE='--model iris --rounds 3'
	$(BIN)/python loadtests/beside.py $(BESIDE)

prove-rollout: $(STAMP) mlflow-env  ## 10,000 requests over 20 promotions and roll-backs, with PostgreSQL and MLflow, and a killed worker
	$(BIN)/python loadtests/prove_rollout.py --kill $(PROVE)

bench-processes: $(STAMP) mlflow-env  ## what a model process costs over a thread, against MLflow, and while a version loads: make bench-processes PROCESSES='--rounds 3'
	$(BIN)/python loadtests/processes.py --out build/bench-processes $(PROCESSES)
	$(BIN)/python loadtests/loading.py --apart --format pickle --current forest

load: NAME ?= steady
load: $(STAMP)  ## one locust file against a server of its own: make load NAME=steady|mixed|slow|swap|ramp
	$(BIN)/locust -f loadtests/locust_$(NAME).py --only-summary $(LOCUST)

docs: $(STAMP)  ## write the lists of settings and metrics anew, and the chart's schema and table
	$(BIN)/python docs/make_lists.py
	$(BIN)/python helm/make_chart_files.py

dashboards: $(STAMP)  ## write the Grafana dashboard anew
	$(BIN)/python docs/make_dashboard.py

check: $(STAMP)  ## style, types, layers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)  ## put the code into the house's style
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

release: $(STAMP)  ## check that version, tag, chart, image and changelog agree, and build dist/; publishes nothing
	$(BIN)/python .ci/release.py

lock:  ## pin every dependency anew (needs uv and npm)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade \
	  --no-emit-index-url --no-emit-find-links --no-header --all-extras --group dev pyproject.toml -o requirements/dev.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade \
	  --no-emit-index-url --no-emit-find-links --no-header requirements/services.in -o requirements/services.txt
	for name in image image-onnx; do uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --no-header -c requirements/dev.txt pyproject.toml -o requirements/$$name.txt \
	  $$(test $$name = image && echo --extra sklearn --extra python --extra parquet) \
	  --extra onnx --extra postgres --extra s3 --extra gcs --extra tracing; done
	printf 'flit_core>=3.11,<4\npip>=25\n' | uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade \
	  --no-emit-index-url --no-emit-find-links --no-header - -o requirements/image-build.txt
	cd requirements/node && npm install --package-lock-only

clean:  ## remove what the targets made
	rm -rf $(VENV) .venv-mlflow build dist penstock-demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
