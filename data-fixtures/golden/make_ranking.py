"""Makes ranking.json: SciPy's rank correlations and paired tests, and rank-biased overlap by its formula. Needs: pip install scipy."""

import json

import numpy
import scipy
from scipy.stats import binomtest, kendalltau, spearmanr, wilcoxon

rng = numpy.random.default_rng(3)


def rbo(s, t, p):
    short, long = sorted([s, t], key=len)
    shared = lambda d: len(set(short[:d]) & set(long[:d]))
    ns, nl = len(short), len(long)
    total = sum(shared(d) / d * p**d for d in range(1, nl + 1)) + sum(shared(ns) * (d - ns) / (ns * d) * p**d for d in range(ns + 1, nl + 1))
    return (1 - p) / p * total + ((shared(nl) - shared(ns)) / nl + shared(ns) / ns) * p**nl


lists = []
for _ in range(20):
    panel = [f"G{gene}" for gene in range(60)]
    a, b = ([str(gene) for gene in rng.permutation(panel)[: rng.integers(3, 40)]] for _ in range(2))
    shared = [gene for gene in a if gene in b]
    x, y = [a.index(gene) for gene in shared], [b.index(gene) for gene in shared]
    case = {"predicted": a, "truth": b, "rbo": {str(p): rbo(a, b, p) for p in (0.5, 0.9, 0.98)}, "shared": len(shared)}
    if len(shared) > 2:
        case["kendall"] = float(kendalltau(x, y).statistic)
        case["spearman"] = float(spearmanr(x, y).statistic)
    lists.append(case)

correlations = []
for size, values in [(5, 100), (12, 4), (40, 6), (200, 1000), (200, 3)]:
    x, y = rng.integers(0, values, size), rng.integers(0, values, size)
    result = kendalltau(x, y, method="asymptotic")
    correlations.append({"x": x.tolist(), "y": y.tolist(), "tau": float(result.statistic), "p": float(result.pvalue)})

paired = []
for size, kind in [(6, "distinct"), (30, "distinct"), (50, "distinct"), (51, "distinct"), (40, "ties"), (200, "ties"), (90, "shifted"), (8, "ties"), (13, "ties"), (12, "zero"), (30, "zero"), (60, "zero")]:
    differences = rng.normal(0.2, 1, size)
    if kind == "ties":
        differences = numpy.round(differences, 1)
    if kind == "zero":
        differences[: size // 5] = 0
    if kind == "shifted":
        differences += 1
    signs = differences[differences != 0]
    paired.append({
        "differences": differences.tolist(),
        "wilcoxon": float(wilcoxon(differences).pvalue),
        "binomtest": float(binomtest(int((signs > 0).sum()), len(signs)).pvalue),
    })

golden = {
    "function": "scipy.stats.kendalltau, spearmanr, wilcoxon, binomtest; rank-biased overlap by equation 32 of Webber et al.",
    "versions": {"scipy": scipy.__version__, "numpy": numpy.__version__},
    "tolerance": {"coefficients": 1e-12, "p_values": 1e-9},
    "lists": lists,
    "correlations": correlations,
    "paired": paired,
}
with open("ranking.json", "w") as file:
    json.dump(golden, file, separators=(",", ":"))
    file.write("\n")
