#!/usr/bin/env bash
# Private RabbitMQ and Redis of one instance, on loopback, with their data in .local/<instance>.
#
#   services.sh start INSTANCE [--fresh]    --fresh deletes the instance's data first
#   services.sh stop INSTANCE
#   services.sh status INSTANCE             exit status 3 if a server is not running
#
# Consecutive ports: AMQP, management, Redis, epmd, Erlang distribution, a coordinator, and AMQP and Redis over TLS
# for tests. Instance `up` uses five fixed ports from 8471 on (UP_PORTS=… changes them); other instances choose free
# ports. The URLs are in `.local/<instance>/services.env`. The machine's own servers and the settings in /etc/rabbitmq
# and /etc/redis are neither used nor changed.

. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
. "$scripts/processes.sh"

rabbitmq_server=/usr/lib/rabbitmq/bin/rabbitmq-server

# Prefix of a server's command line. SUBWATCH_SERVERS=debian13 runs RabbitMQ 4 and Redis 8 of Debian 13.
inside=()
use_servers() {
    [[ -n ${SUBWATCH_SERVERS:-} ]] || return 0
    [[ $SUBWATCH_SERVERS == debian13 ]] || fail "SUBWATCH_SERVERS is '$SUBWATCH_SERVERS': it must be debian13 or unset"
    "$scripts/debian13.sh" unpack rabbitmq-server redis-server bash coreutils dash gawk grep sed
    inside=("$scripts/debian13.sh" run)
}

# Sets ports and URLs from the first port.
use_ports() {
    amqp_port=$1 management_port=$(($1 + 1)) redis_port=$(($1 + 2))
    epmd_port=$(($1 + 3)) distribution_port=$(($1 + 4)) coordinator_port=$(($1 + 5))
    amqps_port=$(($1 + 6)) rediss_port=$(($1 + 7))
    amqp_url=amqp://guest:guest@127.0.0.1:$amqp_port/%2f
    management_url=http://guest:guest@127.0.0.1:$management_port
    redis_url=redis://127.0.0.1:$redis_port/0
}

# Keeps the ports of running servers; otherwise uses the fixed ports or chooses free ones.
choose_ports() {
    local first
    if { runs rabbitmq || runs redis || runs epmd; } && [[ -s $pids/ports ]]; then
        first=$(<"$pids/ports")
    elif [[ $instance == up ]]; then
        first=${UP_PORTS:-8471}
        [[ $first =~ ^[0-9]{4,5}$ ]] || first=0
        ((first >= 1024 && first <= 65530)) ||
            fail "UP_PORTS is '$UP_PORTS': it must be the first of five port numbers, between 1024 and 65530"
    else
        # Below the kernel's range of ephemeral ports.
        until first=$((20000 + RANDOM % 12000)) && all_free "$first"; do :; done
    fi
    use_ports "$first"
    printf '%s\n' "$first" >"$pids/ports"
}

all_free() {
    local port
    for ((port = $1; port < $1 + 8; port++)); do
        ! listening "$port" || return 1
    done
}

# Fails if a port that NAME needs is in use by another program.
require_free() {
    local name=$1 port
    shift
    for port in "$@"; do
        ! listening "$port" || fail "port $port of $name is in use by another program: stop it, or set UP_PORTS" \
            "to the first of five other ports"
    done
}

# Prints the URL that the user set, unless it is the URL of the instance's own server.
given() { [[ $instance != up || $1 == "$2" ]] || printf '%s' "$1"; }

# Whether the servers of this instance also offer TLS.
for_tests() { [[ $instance == test || $instance == next ]]; }

# Makes a CA and a server certificate for 127.0.0.1 only, so that other names fail verification.
make_certificates() {
    local folder=$home/tls
    [[ ! -e $folder/server.pem ]] || return 0
    command -v openssl >/dev/null || fail "openssl is not installed: run 'make setup'"
    rm -rf "$folder"
    mkdir -p "$folder"
    {
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj '/CN=subwatch tests' \
            -keyout "$folder/ca.key" -out "$folder/ca.pem" &&
            openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj '/CN=servers' \
                -keyout "$folder/server.key" -out "$folder/server.csr" &&
            openssl x509 -req -in "$folder/server.csr" -CA "$folder/ca.pem" -CAkey "$folder/ca.key" -days 3650 \
                -extfile <(echo subjectAltName=IP:127.0.0.1) -out "$folder/server.pem"
    } 2>"$logs/openssl.log" || fail "openssl could not create the certificates: see $logs/openssl.log"
}

start_redis() {
    if runs redis; then return; fi
    require_free Redis "$redis_port"
    command -v redis-server >/dev/null || fail "redis-server is not installed: run 'make setup'"
    mkdir -p "$home/redis"
    cat >"$home/redis/redis.conf" <<CONF
bind 127.0.0.1
port $redis_port
daemonize no
dir "$home/redis"
save ""
appendonly yes
appendfsync everysec
maxmemory-policy noeviction
CONF
    if for_tests; then
        require_free "Redis over TLS" "$rediss_port"
        cat >>"$home/redis/redis.conf" <<CONF
tls-port $rediss_port
tls-cert-file "$home/tls/server.pem"
tls-key-file "$home/tls/server.key"
tls-ca-cert-file "$home/tls/ca.pem"
tls-auth-clients no
CONF
    fi
    started=(redis "${started[@]}")
    start_process redis "${inside[@]}" env LC_ALL=C redis-server "$home/redis/redis.conf"
}

redis_ready() { [[ $(redis-cli -h 127.0.0.1 -p "$redis_port" ping 2>/dev/null) == PONG ]]; }

# A private epmd: one started by the broker would outlive it, and the machine's may belong to a system RabbitMQ.
start_epmd() {
    if runs epmd; then return; fi
    require_free epmd "$epmd_port"
    started=("${started[@]}" epmd)
    start_process epmd "${inside[@]}" env -i PATH="$PATH" epmd -port "$epmd_port" -address 127.0.0.1
    await epmd 10 listening "$epmd_port"
}

start_rabbitmq() {
    start_epmd
    if runs rabbitmq; then return; fi
    [[ -x $rabbitmq_server ]] || fail "rabbitmq-server is not installed: run 'make setup'"
    require_free RabbitMQ "$amqp_port" "$management_port" "$distribution_port"
    local folder=$home/rabbitmq
    mkdir -p "$folder"
    : >"$folder/rabbitmq-env.conf"
    echo '[].' >"$folder/advanced.config"
    echo '[rabbitmq_management].' >"$folder/enabled_plugins"
    # Resolve localhost to 127.0.0.1 whatever the machine's resolver says.
    printf '%s\n' '{host, {127,0,0,1}, ["localhost"]}.' '{lookup, [file, native]}.' >"$folder/inetrc"
    cat >"$folder/rabbitmq.conf" <<CONF
listeners.tcp.1 = 127.0.0.1:$amqp_port
management.tcp.ip = 127.0.0.1
management.tcp.port = $management_port
disk_free_limit.absolute = 256MB
vm_memory_high_watermark.relative = 0.4
log.file.rotation.size = 10485760
log.file.rotation.count = 2
CONF
    if for_tests; then
        require_free "RabbitMQ over TLS" "$amqps_port"
        cat >>"$folder/rabbitmq.conf" <<CONF
listeners.ssl.1 = 127.0.0.1:$amqps_port
ssl_options.certfile = $home/tls/server.pem
ssl_options.keyfile = $home/tls/server.key
ssl_options.cacertfile = $home/tls/ca.pem
ssl_options.verify = verify_none
ssl_options.fail_if_no_peer_cert = false
CONF
    fi
    # With ALLOW_INPUT, the script execs the broker, so the pid is the broker's; -noinput disables the Erlang shell.
    # +sbwt none: idle schedulers do not busy-wait, since workers need the cores.
    started=(rabbitmq "${started[@]}")
    start_process rabbitmq "${inside[@]}" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 HOME="$folder" \
        ERL_EPMD_PORT="$epmd_port" ERL_EPMD_ADDRESS=127.0.0.1 ERL_INETRC="$folder/inetrc" \
        RABBITMQ_ALLOW_INPUT=1 RABBITMQ_NODENAME="subwatch-$instance@localhost" \
        RABBITMQ_DIST_PORT="$distribution_port" RABBITMQ_CONF_ENV_FILE="$folder/rabbitmq-env.conf" \
        RABBITMQ_CONFIG_FILE="$folder/rabbitmq.conf" RABBITMQ_CONFIG_FILES="$folder/conf.d" \
        RABBITMQ_ADVANCED_CONFIG_FILE="$folder/advanced.config" \
        RABBITMQ_ENABLED_PLUGINS_FILE="$folder/enabled_plugins" RABBITMQ_MNESIA_BASE="$folder/mnesia" \
        RABBITMQ_GENERATED_CONFIG_DIR="$folder/config" RABBITMQ_LOG_BASE="$logs" RABBITMQ_LOGS="$logs/rabbitmq-server.log" \
        RABBITMQ_PID_FILE="$folder/rabbitmq.pid" ERL_CRASH_DUMP="$logs/erl_crash.dump" \
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-start_epmd false -kernel inet_dist_use_interface {127,0,0,1} +S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none" \
        "$rabbitmq_server" -noinput
}

# The listeners open last, so a broker that accepts connections has booted.
rabbitmq_ready() {
    listening "$amqp_port" && { ! for_tests || listening "$amqps_port"; } && curl --noproxy '*' -fs -m 5 -o /dev/null "$management_url/api/overview"
}

write_addresses() {
    {
        echo "# Servers of the instance '$instance'. Use them with: . .local/$instance/services.env"
        [[ -n $given_amqp ]] || echo "export SUBWATCH_AMQP_URL=$amqp_url"
        [[ -n $given_redis ]] || echo "export SUBWATCH_REDIS_URL=$redis_url"
        if for_tests; then
            echo "export SUBWATCH_TEST_AMQP_URL=$amqp_url"
            echo "export SUBWATCH_TEST_AMQPS_URL=amqps://guest:guest@127.0.0.1:$amqps_port"
            echo "export SUBWATCH_TEST_MANAGEMENT_URL=$management_url"
            echo "export SUBWATCH_TEST_REDIS_URL=$redis_url"
            echo "export SUBWATCH_TEST_REDISS_URL=rediss://127.0.0.1:$rediss_port/0"
            echo "export SUBWATCH_TEST_CA_FILE='$home/tls/ca.pem'"
        fi
        if [[ $instance != up ]]; then echo "export SUBWATCH_URL=http://127.0.0.1:$coordinator_port"; fi
    } >"$home/services.env"
}

start() {
    local begun=$SECONDS
    [[ ${1:-} != --fresh ]] || { stop quietly && rm -rf "$home/redis" "$home/rabbitmq" "$home/tls"; }
    use_servers
    choose_ports
    given_amqp=$(given "${SUBWATCH_AMQP_URL:-}" "$amqp_url")
    given_redis=$(given "${SUBWATCH_REDIS_URL:-}" "$redis_url")
    ! for_tests || make_certificates
    [[ -n $given_redis ]] || start_redis
    [[ -n $given_amqp ]] || start_rabbitmq
    [[ -n $given_redis ]] || await redis 60 redis_ready || exit 1
    [[ -n $given_amqp ]] || await rabbitmq 120 rabbitmq_ready || exit 1
    started=()
    write_addresses
    report "$((SECONDS - begun)) s"
}

report() {
    if [[ -n $given_amqp ]]; then say "RabbitMQ  external, from SUBWATCH_AMQP_URL"; else
        say "RabbitMQ  $amqp_url   management: $management_url"
    fi
    if [[ -n $given_redis ]]; then say "Redis     external, from SUBWATCH_REDIS_URL"; else say "Redis     $redis_url"; fi
    say "the servers of '$instance' are ready ($1); to use them in a shell: . .local/$instance/services.env"
}

stop() {
    local outcome='not running'
    if runs rabbitmq || runs redis || runs epmd; then outcome=stopped; fi
    # RabbitMQ stops slowly. Only the data of `up` is used again, so other instances are killed.
    local grace=0
    if [[ $instance == up ]]; then grace=30; fi
    stop_processes "$grace" rabbitmq redis
    stop_processes "$grace" epmd
    rm -f "$home/services.env"
    [[ ${1:-} == quietly ]] || say "servers of '$instance': $outcome"
}

status() {
    local name id missing=0
    for name in rabbitmq redis epmd; do
        if id=$(process_id "$name"); then say "$name is running, pid $id"; else
            say "$name is not running"
            missing=1
        fi
    done
    [[ ! -s $home/services.env ]] || cat "$home/services.env"
    return $((missing * 3))
}

[[ $# -ge 2 && $1 =~ ^(start|stop|status)$ ]] || fail "usage: services.sh start|stop|status INSTANCE [--fresh]"
use_instance "$2"
if [[ $1 == status ]]; then
    status
    exit
fi
lock "$home/services.lock" "start or stop of the servers of '$instance'" 180
# A failed or interrupted start stops the servers that it started, and no others.
started=()
clean_up() { ((${#started[@]} == 0)) || stop_processes 10 "${started[@]}"; }
trap_exit
"$1" "${@:3}"
