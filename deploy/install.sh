#!/bin/sh
# Installs tidenet from a checkout into a virtual environment: what the images do, and what may be
# done by hand.
#   deploy/install.sh cpu /opt/venv [python3.12]
#   deploy/install.sh cuda /opt/venv [python3.12]
set -eu

kind=$1
venv=$2
python=${3:-python3}
checkout=$(cd "$(dirname "$0")/.." && pwd)

case $kind in
  # PyTorch's own index has builds without the gigabytes of CUDA libraries.
  cpu) set -- --extra-index-url https://download.pytorch.org/whl/cpu ;;
  cuda) set -- ;;
  *) echo "install.sh: cpu or cuda, not $kind" >&2; exit 2 ;;
esac

"$python" -m venv "$venv"
"$venv/bin/pip" install --disable-pip-version-check "$@" \
  -c "$checkout/constraints.txt" \
  -e "${checkout}[postgres,dask,kubernetes,copernicus,earthdata]"
