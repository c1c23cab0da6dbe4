"""Make the buckets that are named, where they do not exist: ``python make_buckets.py NAME...``.

The store and its keys come from the usual AWS_* variables.
"""

import sys

import s3fs


def main() -> None:
    """Make what is missing."""
    filesystem = s3fs.S3FileSystem(
        config_kwargs={
            "connect_timeout": 10,
            "read_timeout": 30,
            "retries": {"total_max_attempts": 10, "mode": "standard"},
        }
    )
    for name in sys.argv[1:]:
        if not filesystem.exists(name):
            filesystem.mkdir(name)
            print(f"bucket {name} made")


if __name__ == "__main__":
    main()
