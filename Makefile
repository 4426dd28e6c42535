# Two commands: `make demo` runs the main job, `make test` runs the tests. Each sets up what it needs.
PYTHON ?= python3
DISTRIBUTION ?= k3s

# The interpreter of a lock file's environment; makes the environment first when it is missing.
hub_python = $(shell $(PYTHON) tools/environment.py requirements/hub.txt || echo false)
dev_python = $(shell $(PYTHON) tools/environment.py requirements/dev.txt || echo false)

.PHONY: demo up test check bench format lock

demo:  ## the whole hub, two simulated Harvester clusters and a guest cluster; ONCE=1 ends after the job
	@$(hub_python) manage.py quickstart --demo --distribution $(DISTRIBUTION) $(if $(ONCE),--once)

up:  ## the same stack without the job
	@$(hub_python) manage.py quickstart

test:  ## everything that has to pass: checks, then all tests on real servers
	@sh tools/run-tests all $(dev_python)

check:  ## the fast part: lint, types, import rules, tests without servers
	@sh tools/run-tests fast $(dev_python)

bench:  ## the benchmarks of docs/benchmarks.md; wants a quiet machine, takes some minutes
	@$(dev_python) -m pytest tests/benchmarks -o python_files='bench_*.py' -q -s -p no:randomly --timeout=1800

format:
	@$(dev_python) -m ruff format . && $(dev_python) -m ruff check --fix --quiet .

lock:  ## resolves the lock files again; needs uv
	uv pip compile --universal --python-version 3.11 pyproject.toml --extra hub --generate-hashes --no-emit-index-url --no-annotate -q -o requirements/hub.txt
	uv pip compile --universal --python-version 3.11 pyproject.toml --extra hub --group dev --generate-hashes --no-emit-index-url --no-annotate -q -o requirements/dev.txt
