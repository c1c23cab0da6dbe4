"""Whether the process of this container answers: a Prefect server, a worker, or the exporter.

    python healthcheck.py [URL]

Without a URL, TIDENET_HEALTH_URL is asked; where there is none, there is nothing to ask (a command
that ends by itself), and that is healthy.
"""

import os
import sys
import urllib.error
import urllib.request


def main() -> int:
    """Return 0 if the URL answers with 200."""
    url = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("TIDENET_HEALTH_URL", "")
    if not url:
        return 0
    try:
        with urllib.request.urlopen(url, timeout=8) as answer:  # noqa: S310 - an address of our own
            return 0 if answer.status == 200 else 1
    except (urllib.error.URLError, OSError) as error:
        print(f"{url}: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
