#!/bin/sh
# Starts Postgres; makes the database first, where there is none. Arguments go to the server, such as -c work_mem=64MB.
#   POSTGRES_PASSWORD  of the user postgres; needed at the first start, not read later
#   PGDATABASE         the database of the application, in which pg_cron lives; default fw
set -eu

create_cluster() {
  if [ -z "${POSTGRES_PASSWORD:-}" ]; then
    echo 'fw-postgres: set POSTGRES_PASSWORD: this is the first start, and the user postgres needs a password' >&2
    exit 64
  fi
  # Under another name until it is complete: a start that was interrupted begins anew.
  new="$PGDATA.new"
  rm -rf "$new"
  password=$(mktemp)
  printf '%s\n' "$POSTGRES_PASSWORD" > "$password"
  initdb --pgdata="$new" --username=postgres --pwfile="$password" --encoding=UTF8 --locale=C.UTF-8 \
    --auth-local=peer --auth-host=scram-sha-256 --data-checksums --no-instructions
  rm -f "$password"
  echo 'host all all all scram-sha-256' >> "$new/pg_hba.conf"
  cat >> "$new/postgresql.conf" <<SETTINGS

# Of the image; change them here or with ALTER SYSTEM.
listen_addresses = '*'
timezone = 'UTC'
log_timezone = 'UTC'
shared_preload_libraries = 'pg_cron'
cron.database_name = '$(quoted "$PGDATABASE")'
cron.timezone = 'GMT'
# Jobs run as background workers: no password, no connection. Each running one takes a worker process.
cron.use_background_workers = on
max_worker_processes = 32
SETTINGS
  single "$new" template1 "create database \"$(printf '%s' "$PGDATABASE" | sed 's/"/""/g')\";"
  single "$new" "$PGDATABASE" 'create extension pg_cron;'
  mv "$new" "$PGDATA"
}

quoted() { printf '%s' "$1" | sed "s/'/''/g"; }

# Runs a statement without a server that listens, so that nobody finds a half-made database.
single() {
  printf '%s\n' "$3" | postgres --single -j -D "$1" -c exit_on_error=on -c log_checkpoints=off "$2" > /dev/null
}

if [ ! -e "$PGDATA/PG_VERSION" ]; then create_cluster; fi
# Secrets that are not needed any more do not go to the server's environment.
unset POSTGRES_PASSWORD PGDATABASE
exec postgres "$@"
