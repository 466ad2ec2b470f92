"""Make the bucket of BIRADS_FILES_URL if there is none: python bucket.py

Endpoint and credentials come from the usual AWS_* variables. Does nothing if files are not in a bucket.
"""

import os
from urllib.parse import urlsplit


def main() -> None:
    """Make the bucket."""
    address = urlsplit(os.environ.get("BIRADS_FILES_URL", ""))
    if address.scheme == "s3":
        import s3fs

        s3fs.S3FileSystem().makedirs(address.netloc, exist_ok=True)
        print(f"The bucket {address.netloc} is there")


if __name__ == "__main__":
    main()
