# One command each. The work is done by the scripts in deploy/local.

.DEFAULT_GOAL := help
.PHONY: help setup build test test-next chaos crawl lint fuzz demo scale up down services
export WORKERS THREADS ITEMS ROWS SCHEDULES SEED RECONNECTS ROLLS

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install what the programs need on this Debian machine, and libtorch into .local
	@deploy/local/setup.sh

build: setup ## build the programs, target/release/subwatch and target/release/subwatch-worker
	@deploy/local/build.sh

test: ## install what the tests need, and run all of them over a private RabbitMQ and Redis
	@deploy/local/test.sh $(ARGS)

test-next: ## run the integration tests over RabbitMQ 4.0 and Redis 8.0 from Debian 13
	@SUBWATCH_SERVERS=debian13 deploy/local/test.sh $(ARGS)

chaos: ## kill, cut, starve and roll back a working system; SCHEDULES=30 SEED=… RECONNECTS=1000 ROLLS=20 say how
	@deploy/local/chaos.sh

crawl: ## crawl CHANNELS=100 channels of VIDEOS=40 from a site of the tests, kill a worker of two; print rates against limits
	@SUBWATCH_TEST_CHANNELS=$(or $(CHANNELS),100) SUBWATCH_TEST_VIDEOS=$(or $(VIDEOS),40) \
		deploy/local/test.sh --test integration -- --nocapture crawl::fleet

lint: ## check formatting, clippy, documentation and shell scripts
	@deploy/local/lint.sh

fuzz: ## feed broken input to the parsers; SECONDS=60 says how long to each
	@FUZZ_SECONDS=$(SECONDS) deploy/local/fuzz.sh $(ARGS)

demo: ## embed a sample dataset, train a head on it and predict, from nothing to figures
	@deploy/local/demo.sh

scale: ## embed ITEMS=100000 rows and print time, memory and bytes an item; ROWS=no takes images alone
	@deploy/local/scale.sh

up: ## start servers, coordinator and workers; WORKERS=2 THREADS=1 say how many
	@deploy/local/system.sh up

down: ## stop what `make up` or `make services` started
	@deploy/local/system.sh down

services: setup ## start the private RabbitMQ and Redis alone and print their addresses
	@deploy/local/services.sh start up
