#!/usr/bin/env bash
# Generates the secrets of a new installation: passwords for RabbitMQ and Redis, the files that use them, and an access
# token with scope admin for the API.
#
#   deploy/secrets.sh FOLDER    writes to FOLDER, which must not exist; git ignores deploy/secrets
#
# The files work for Compose and Kubernetes: in both, the servers' host names are rabbitmq and redis.

set -euo pipefail

[[ $# == 1 && $1 != -* ]] || { printf 'usage: deploy/secrets.sh FOLDER\n' >&2 && exit 2; }
folder=$1
[[ ! -e $folder ]] || { printf 'error: %s exists; delete it or choose another folder\n' "$folder" >&2 && exit 1; }

random() { od -A n -N "$1" -t x1 /dev/urandom | tr -d ' \n'; }
rabbitmq=$(random 24)
redis=$(random 24)
# The format of `subwatch token new`.
token=subwatch_$(random 32)
hash=$(printf %s "$token" | sha256sum)

# Only this user can enter the folder. Containers run as other users and must be able to read the mounted files.
mkdir -p "$(dirname "$folder")"
mkdir -m 700 "$folder"
umask 022
printf 'amqp://subwatch:%s@rabbitmq:5672/%%2f\n' "$rabbitmq" >"$folder/amqp_url"
printf 'default_user = subwatch\ndefault_pass = %s\n' "$rabbitmq" >"$folder/rabbitmq.conf"
printf 'redis://:%s@redis:6379/0\n' "$redis" >"$folder/redis_url"
printf 'requirepass %s\n' "$redis" >"$folder/redis.conf"
printf '%s\n' "$token" >"$folder/token"
printf '# NAME SCOPE SHA256; to add one: subwatch token new\nadmin admin %s\n' "${hash%% *}" >"$folder/tokens"
printf 'wrote the secrets to %s\n' "$folder" >&2
