#!/bin/sh
# Makes every secret that compose.yaml needs, each in a file of its own in deploy/secrets (a folder for
# its owner alone, ignored by git). What is there already is left alone. Alarms go nowhere until you
# write a URL into deploy/secrets/alarm_webhook.
set -eu
umask 077

folder=$(cd "$(dirname "$0")" && pwd)/secrets
mkdir -p "$folder"

random() { head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n'; }
keep() { [ -e "$folder/$1" ] || printf '%s' "$2" > "$folder/$1"; }

keep postgres_password "$(random)"
keep tidenet_password "$(random)"
keep s3_access_key "$(random | cut -c1-20)"
keep s3_secret_key "$(random)"
keep prefect_auth "admin:$(random)"
keep grafana_password "$(random)"
keep alarm_webhook ""
password=$(cat "$folder/tidenet_password")
keep archive_url "postgresql://tidenet:$password@postgres:5432/archive"
keep prefect_database_url "postgresql+asyncpg://tidenet:$password@postgres:5432/prefect"
keep s3.json "{\"identities\": [{\"name\": \"tidenet\", \"credentials\": [{\"accessKey\": \"$(cat "$folder/s3_access_key")\", \"secretKey\": \"$(cat "$folder/s3_secret_key")\"}], \"actions\": [\"Admin\", \"Read\", \"Write\", \"List\", \"Tagging\"]}]}"
# The containers' users are not this one and read the files as others; on this machine nobody but
# their owner gets into the folder.
chmod 644 "$folder"/*
chmod 700 "$folder"
echo "Secrets are in $folder."
