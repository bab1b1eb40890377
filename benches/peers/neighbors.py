"""The peer of `cargo xtask bench data`: SciPy's k-d tree. A line of JSON in, a line of JSON out."""

import json
import platform
import sys
import time

import numpy
import scipy
from scipy.spatial import cKDTree


def radius_graph(command):
    positions = numpy.fromfile(command["file"], dtype="<f8").reshape(-1, 2)
    start = time.perf_counter()
    pairs = cKDTree(positions).query_pairs(command["radius"], output_type="ndarray")
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "pairs": len(pairs)}


def versions(_):
    return {"python": platform.python_version(), "numpy": numpy.__version__, "scipy": scipy.__version__}


COMMANDS = {"radius_graph": radius_graph, "versions": versions}

for line in sys.stdin:
    command = json.loads(line)
    try:
        answer = COMMANDS[command["do"]](command)
    except Exception as error:  # The other side reports it.
        answer = {"error": repr(error)}
    print(json.dumps(answer), flush=True)
