#!/bin/sh
# Run once by the PostgreSQL image, on an empty volume: one role, one database for the archive and
# one for Prefect. The role may make the archive's reader and writer roles (tidenet migrate).
set -eu
password=$(cat /run/secrets/tidenet_password)
psql --set ON_ERROR_STOP=1 --set password="$password" --username "$POSTGRES_USER" <<'SQL'
CREATE ROLE tidenet LOGIN CREATEROLE PASSWORD :'password';
CREATE DATABASE archive OWNER tidenet;
CREATE DATABASE prefect OWNER tidenet;
SQL
