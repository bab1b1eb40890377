"""Makes enrichment.json: SciPy's hypergeometric tail. Needs: pip install scipy."""

import json

import numpy
import scipy
from scipy.stats import hypergeom

rng = numpy.random.default_rng(5)
cases = []
for _ in range(40):
    everything = int(rng.integers(5, 3000))
    of_set = int(rng.integers(1, min(everything, 500) + 1))
    drawn = int(rng.integers(1, everything + 1))
    least, most = max(0, of_set + drawn - everything), min(of_set, drawn)
    hits = int(rng.integers(least, most + 1))
    cases.append({"all": everything, "of_set": of_set, "drawn": drawn, "hits": hits, "expected": float(hypergeom.sf(hits - 1, everything, of_set, drawn))})
golden = {"function": "scipy.stats.hypergeom.sf(hits - 1, all, of_set, drawn)", "versions": {"scipy": scipy.__version__, "numpy": numpy.__version__}, "tolerance": {"relative": 1e-9}, "cases": cases}
with open("enrichment.json", "w") as file:
    json.dump(golden, file, separators=(",", ":"))
    file.write("\n")
