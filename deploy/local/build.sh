#!/usr/bin/env bash
# Builds target/release/subwatch and target/release/subwatch-worker, and nothing that only tests need.
#
#   build.sh [PACKAGE…]    builds these packages besides

. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

packages=(-p coordinator -p worker)
for package in "$@"; do packages+=(-p "$package"); done
exec cargo build --release "${packages[@]}"
