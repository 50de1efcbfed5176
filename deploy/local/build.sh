#!/usr/bin/env bash
# Builds target/release/subwatch and target/release/subwatch-worker, without the tests' dependencies.
#
#   build.sh [PACKAGE…]    also builds these packages

. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

packages=(-p coordinator -p worker)
for package in "$@"; do packages+=(-p "$package"); done
exec cargo build --release "${packages[@]}"
