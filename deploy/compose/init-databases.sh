#!/bin/sh
# Run once by the PostgreSQL image, on an empty volume: one role, one database for the archive and
# one for Prefect. The role may make the archive's reader and writer roles (tidenet migrate).
set -eu
# psql reads the password itself: on a command line it could be seen.
psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres <<'SQL'
\set password `cat "$OWNER_PASSWORD_FILE"`
CREATE ROLE tidenet LOGIN CREATEROLE PASSWORD :'password';
CREATE DATABASE archive OWNER tidenet;
CREATE DATABASE prefect OWNER tidenet;
SQL
