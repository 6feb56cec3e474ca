# Needs Python 3.11 or newer, Node 18 or newer, make. Everything else is installed into this folder.
# The work is done in dev/; HOLDFAST_PYTHON=/path/to/python chooses the interpreter.
.PHONY: help dev demo test check chaos fuzz soak model mutants audit migrate smoke bench simulate bench-cold trials messages bench-audit lock deploy-vercel deploy-aws clean
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
ARGS ?=

help:
	@echo "make dev      run the whole shop on http://localhost:4000 (PORT=...); Ctrl-C stops it"
	@echo "make demo     a drop with a simulated crowd on the running make dev, or URL=... (ARGS='--buyers 500 --units 60')"
	@echo "make test     run every test on databases and ports of its own (ARGS='-k name' for some)"
	@echo "make check    format, lint, types, SQL"
	@echo "make soak     random histories of the whole shop against a model of it (MINUTES=10; SEED=... repeats)"
	@echo "make model    check the lock rules in every order of steps with spin; docs/MODEL.md"
	@echo "make chaos    buyers while parts are killed, frozen and cut off (ARGS='--minutes 30 --seed 1')"
	@echo "make fuzz     20,000 requests made from the API document, valid and not (ARGS='--seed 1 --max-examples 100')"
	@echo "make mutants  break the code in one place after the other; some test must notice each"
	@echo "make audit    recompute every drop of DATABASE_URL_UNPOOLED, else DATABASE_URL, else of the running make dev"
	@echo "make migrate  bring DATABASE_URL_UNPOOLED, else DATABASE_URL, to the newest schema"
	@echo "make smoke    URL=https://... ADMIN_TOKEN=...: sell one unit of a deployment to itself, and see it announced"
	@echo "make bench    measure everything beside its yardsticks (SCENARIO=name,name for some, SIZE=full for the biggest shop)"
	@echo "make simulate a drop of 1,000,000 buyers, by simulation on the benchmark's figures; docs/SCALE.md"
	@echo "make bench-cold     cold start of each function of the real Vercel build (ARGS='--rounds 30')"
	@echo "make trials         break channel, network and events, and see every page converge (ARGS='--trials 5 --kind cut')"
	@echo "make messages       what a sale publishes, against one message for each change"
	@echo "make bench-audit    what an audit of a drop with 1,000,000 purchases costs"
	@echo "make deploy-vercel  check, migrate and deploy to Vercel (ARGS=--dry-run to see the plan); docs/VERCEL.md"
	@echo "make deploy-aws     check, migrate and deploy to AWS Lambda (ARGS=--dry-run to see the plan); docs/AWS.md"
	@echo "make lock     after a change of pyproject.toml: every file to install, with its hash (ARGS='--upgrade-package NAME')"
	@echo "make clean    drop the local data and everything installed"

dev: $(STAMP)
	@$(PY) -m dev

demo: $(STAMP)
	@$(PY) -m dev.demo $(URL) $(ARGS)

test: $(STAMP)
	@echo "==> browser libraries and soketi"
	@$(PY) -m dev.npm
	@echo "==> tests"
	@$(PY) -m pytest -n 2 --dist loadgroup $(ARGS)

check: $(STAMP)
	@echo "==> ruff: lint"
	@$(PY) -m ruff check .
	@echo "==> ruff: format"
	@$(PY) -m ruff format --check .
	@echo "==> mypy: types"
	@$(PY) -m mypy
	@echo "==> SQL"
	@$(PY) -m dev.sql_lint

chaos: $(STAMP)
	@echo "==> soketi"
	@$(PY) -m dev.npm
	@$(PY) -m tests.chaos $(ARGS)

fuzz: $(STAMP)
	@$(PY) -m dev.npm
	@$(PY) -m tests.fuzz $(ARGS)

soak: $(STAMP)
	@$(PY) -m dev.npm
	@$(PY) -m tests.properties.soak $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED)) $(ARGS)

model: $(STAMP)
	@$(PY) -m tests.model.check $(ARGS)

mutants: $(STAMP)
	@$(PY) -m dev.npm
	@$(PY) -m tests.mutants.run $(ARGS)

audit: $(STAMP)
	@$(PY) -m dev.audit

migrate: $(STAMP)
	@$(PY) -m lib.migrate

smoke: $(STAMP)
	@$(PY) -m dev.smoke "$(URL)"

bench: $(STAMP)
	@$(PY) -m tests.bench --scenario "$(SCENARIO)" --size "$(or $(SIZE),normal)" $(ARGS)

simulate: $(STAMP)
	@$(PY) -m tests.bench.simulation $(ARGS)

bench-cold: $(STAMP)
	@$(PY) -m tests.bench.cold $(ARGS)

trials: $(STAMP)
	@$(PY) -m tests.bench.trials $(ARGS)

messages: $(STAMP)
	@$(PY) -m tests.bench.messages

bench-audit: $(STAMP)
	@$(PY) -m tests.bench.audit $(ARGS)

deploy-vercel: $(STAMP)
	@$(PY) -m dev.deploy_vercel $(ARGS)

deploy-aws: $(STAMP)
	@$(PY) -m dev.deploy_aws $(ARGS)

lock: $(STAMP)
	@$(PY) -m dev.lock $(ARGS)

clean:
	@sh dev/clean.sh

$(STAMP): requirements-dev.txt dev/bootstrap.sh
	@sh dev/bootstrap.sh $(VENV)
