# Each target runs a script in deploy/local.

.DEFAULT_GOAL := help
.PHONY: help setup build test test-next chaos crawl lint fuzz demo scale bench gpu-pack up down services
export WORKERS THREADS ITEMS ROWS SCHEDULES SEED RECONNECTS ROLLS QUICK PARTS RUNS PROFILE OUT NOTE

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install Debian packages and libtorch for the programs
	@deploy/local/setup.sh

build: setup ## build target/release/subwatch and target/release/subwatch-worker
	@deploy/local/build.sh

test: ## install the tests' dependencies and run all tests with a private RabbitMQ and Redis
	@deploy/local/test.sh $(ARGS)

test-next: ## run the integration tests with RabbitMQ 4.0 and Redis 8.0 from Debian 13
	@SUBWATCH_SERVERS=debian13 deploy/local/test.sh $(ARGS)

chaos: ## run the chaos tests; options: SCHEDULES=10 SEED=… RECONNECTS=… ROLLS=…
	@deploy/local/chaos.sh

crawl: ## crawl CHANNELS=100 channels of VIDEOS=40 from a fake site, kill one of two workers, and print the request rates
	@SUBWATCH_TEST_CHANNELS=$(or $(CHANNELS),100) SUBWATCH_TEST_VIDEOS=$(or $(VIDEOS),40) \
		deploy/local/test.sh --test integration -- --nocapture crawl::fleet

lint: ## check formatting, clippy, documentation and shell scripts
	@deploy/local/lint.sh

fuzz: ## fuzz the parsers, each for SECONDS=60
	@FUZZ_SECONDS=$(SECONDS) deploy/local/fuzz.sh $(ARGS)

demo: ## set up and build everything, then crawl a fake site, embed, train a head and predict
	@deploy/local/demo.sh

scale: ## embed ITEMS=100000 rows and print time and memory; ROWS=no embeds images without metadata
	@deploy/local/scale.sh

bench: ## measure beside Celery, Ray Data, PyTorch, …; options: PARTS=model,decode,embed,interactive,queue,similarity RUNS=5 QUICK=1
	@deploy/local/bench.sh

gpu-pack: ## build a stripped worker and the measuring scripts into .gpu/ for a machine with a GPU
	@deploy/local/gpu.sh pack

up: ## start servers, a coordinator and one worker; options: WORKERS=2 THREADS=1
	@deploy/local/system.sh up

down: ## stop everything that `make up` or `make services` started
	@deploy/local/system.sh down

services: setup ## start only the private RabbitMQ and Redis and print their URLs
	@deploy/local/services.sh start up
