#!/bin/sh
# Gives a process its secrets: for every variable NAME_FILE, NAME is read from that file. Secrets
# are then in no image, compose file or command line.
set -eu

for name in $(env | sed -n 's/^\([A-Z][A-Z0-9_]*\)_FILE=.*/\1/p'); do
  eval "file=\${${name}_FILE}"
  # shellcheck disable=SC2154  # set by the eval above
  if [ ! -r "$file" ]; then
    echo "entrypoint.sh: $name should be in $file, which cannot be read." >&2
    exit 1
  fi
  value=$(cat "$file")
  export "$name=$value"
  unset "${name}_FILE"
done

exec "$@"
