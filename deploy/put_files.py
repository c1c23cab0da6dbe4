"""Copy product files into a bucket: ``python put_files.py FOLDER bucket/prefix``.

The store and its keys come from the usual AWS_* variables. Files that are there with the same size
are left alone.
"""

import sys
from pathlib import Path

import s3fs


def main() -> None:
    """Copy what is missing, and say how many."""
    folder, target = Path(sys.argv[1]), sys.argv[2].removeprefix("s3://").rstrip("/")
    filesystem = s3fs.S3FileSystem(
        config_kwargs={"connect_timeout": 10, "read_timeout": 60, "retries": {"max_attempts": 5}}
    )
    there = filesystem.find(target, detail=True) if filesystem.exists(target) else {}
    sizes = {path.rpartition("/")[2]: about["size"] for path, about in there.items()}
    files = [file for file in sorted(folder.iterdir()) if file.is_file()]
    missing = [file for file in files if sizes.get(file.name) != file.stat().st_size]
    for file in missing:
        filesystem.put_file(str(file), f"{target}/{file.name}")
    print(f"{len(missing)} files copied, {len(files) - len(missing)} were there.")


if __name__ == "__main__":
    main()
