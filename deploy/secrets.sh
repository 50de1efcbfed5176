#!/usr/bin/env bash
# Makes the secrets of a new installation: passwords for RabbitMQ and Redis, the files that hold them, and an
# access token of the scope admin for the API, with the file of tokens that knows it.
#
#   deploy/secrets.sh FOLDER    FOLDER must not exist yet; deploy/secrets is ignored by git
#
# The same files serve Kubernetes and Compose, where the servers are called rabbitmq and redis too.

set -euo pipefail

[[ $# == 1 && $1 != -* ]] || { printf 'usage: deploy/secrets.sh FOLDER\n' >&2 && exit 2; }
folder=$1
[[ ! -e $folder ]] || { printf 'error: %s exists: secrets in use are not replaced\n' "$folder" >&2 && exit 1; }

random() { od -A n -N "$1" -t x1 /dev/urandom | tr -d ' \n'; }
rabbitmq=$(random 24)
redis=$(random 24)
# As `subwatch token new` makes them.
token=subwatch_$(random 32)
hash=$(printf %s "$token" | sha256sum)

# The folder keeps others out. The files must be readable in containers, whose users are not this one.
mkdir -p "$(dirname "$folder")"
mkdir -m 700 "$folder"
umask 022
printf 'amqp://subwatch:%s@rabbitmq:5672/%%2f\n' "$rabbitmq" >"$folder/amqp_url"
printf 'default_user = subwatch\ndefault_pass = %s\n' "$rabbitmq" >"$folder/rabbitmq.conf"
printf 'redis://:%s@redis:6379/0\n' "$redis" >"$folder/redis_url"
printf 'requirepass %s\n' "$redis" >"$folder/redis.conf"
printf '%s\n' "$token" >"$folder/token"
printf '# NAME SCOPE SHA256; more are made with: subwatch token new\nadmin admin %s\n' "${hash%% *}" >"$folder/tokens"
printf 'secrets are in %s\n' "$folder" >&2
