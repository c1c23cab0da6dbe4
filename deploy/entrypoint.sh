#!/bin/sh
# Gives a process its secrets: where NAME_FILE is set for one of these names, NAME is read from that
# file. Secrets are then in no image, compose file or command line. Any other name that ends in _FILE
# (AWS_WEB_IDENTITY_TOKEN_FILE, SSL_CERT_FILE) means a file to the library that reads it, and stays.
set -eu

for name in \
  TIDENET_DATABASE TIDENET_ALARM_WEBHOOK \
  PREFECT_API_KEY PREFECT_API_AUTH_STRING \
  PREFECT_SERVER_API_AUTH_STRING PREFECT_SERVER_DATABASE_CONNECTION_URL \
  AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY \
  COPERNICUSMARINE_SERVICE_USERNAME COPERNICUSMARINE_SERVICE_PASSWORD \
  EARTHDATA_TOKEN EARTHDATA_USERNAME EARTHDATA_PASSWORD; do
  eval "file=\${${name}_FILE:-}"
  [ -n "$file" ] || continue
  if [ ! -r "$file" ]; then
    echo "entrypoint.sh: $name should be in $file, which cannot be read." >&2
    exit 1
  fi
  value=$(cat "$file")
  export "$name=$value"
  unset "${name}_FILE"
done

exec "$@"
