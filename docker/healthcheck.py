"""Exit with 0 if the web application answers; run by the container's HEALTHCHECK."""

import http.client
import os
import sys

LIMIT_S = 8


def main() -> int:
    """Ask /healthz under a host name that the application accepts, past any proxy in the environment."""
    host = os.environ.get("BIRADS_TRUSTED_HOSTS", "").partition(",")[0].strip().lstrip(".") or "localhost"
    connection = http.client.HTTPConnection("127.0.0.1", int(os.environ.get("PORT", "8000")), timeout=LIMIT_S)
    try:
        connection.request("GET", "/healthz", headers={"Host": host})
        status = connection.getresponse().status
    except OSError as error:
        print(f"no answer: {error}", file=sys.stderr)
        return 1
    print(f"/healthz answered {status}")
    return 0 if status == 200 else 1


if __name__ == "__main__":
    raise SystemExit(main())
