"""Helm's own engine, in a process of its own: its Go runtime takes over signals of the process that loads it.

Reads a call as JSON from standard input and prints the answer as JSON: ``{"chart": PATH}`` to lint a chart,
``{"chart": PATH, "values": {...}}`` to render it.
"""

import json
import subprocess
import sys
from typing import Any


class Refused(ValueError):
    """Helm refuses the values; the text says why."""


def lint(chart: str) -> dict[str, Any]:
    """Return what Helm says about a chart."""
    return _call({"chart": chart})


def render(chart: str, values: dict[str, Any]) -> dict[str, str]:
    """Return the rendered templates by name; raises Refused."""
    return _call({"chart": chart, "values": values})


def _call(asked: dict[str, Any]) -> dict[str, Any]:
    command = [sys.executable, "-m", __name__]
    done = subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True, check=False)
    if done.returncode:
        raise Refused(done.stderr)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _answer(asked: dict[str, Any]) -> Any:
    import helm_python as helm

    if "values" not in asked:
        return helm.lint(asked["chart"])
    with helm.Chart.load(asked["chart"]) as chart:
        chart.validate_schema(asked["values"])
        return chart.render(asked["values"], name="birads", namespace="reading")


if __name__ == "__main__":
    print(json.dumps(_answer(json.load(sys.stdin))))
