"""The peer of `cargo bench -p tn-eval --bench differential_expression`: scanpy, on the same numbers. Prints a line of JSON.

python differential_expression.py; needs scanpy. Times are the shortest of three in seconds, the compilation by numba left out.
"""

import json
import platform
import time
import warnings

import anndata
import numpy
import pandas
import scanpy
from scipy.sparse import csr_matrix

warnings.simplefilter("ignore")
scanpy.settings.verbosity = 0


def split_mix(n):
    z = numpy.arange(1, n + 1, dtype=numpy.uint64) * numpy.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
    return z ^ (z >> numpy.uint64(31))


def matrix(cells, genes, shown, labels):
    random = split_mix(cells * genes)
    hundredths = 100_000 // (50 + (random >> numpy.uint64(10)) % 1_000)
    values = numpy.where(random % 1_024 < shown, hundredths.astype(numpy.float32) / numpy.float32(100), numpy.float32(0))
    obs = pandas.DataFrame({"group": pandas.Categorical(labels)}, index=[str(cell) for cell in range(cells)])
    var = pandas.DataFrame(index=[f"G{gene}" for gene in range(genes)])
    return anndata.AnnData(csr_matrix(values.reshape(cells, genes)), obs=obs, var=var)


def measure(data, method, reference, groups):
    seconds = []
    for _ in range(4):
        start = time.perf_counter()
        scanpy.tl.rank_genes_groups(
            data, "group", groups=groups, reference=reference, method=method, tie_correct=method == "wilcoxon", pts=True
        )
        seconds.append(time.perf_counter() - start)
    first = scanpy.get.rank_genes_groups_df(data, groups[0] if groups != "all" else "KO00").iloc[0]
    return {"seconds": min(seconds[1:]), "first_gene": first["names"], "score": float(first["scores"])}


two_groups = matrix(10_000, 1_000, 102, ["a"] * 5_000 + ["b"] * 5_000)
knockouts = matrix(39_250, 154, 341, [f"KO{cell // 1_000:02}" if cell < 35_000 else "control" for cell in range(39_250)])
print(
    json.dumps(
        {
            "wilcoxon/2x5k_cells_1k_genes": measure(two_groups, "wilcoxon", "b", ["a"]),
            "welch/2x5k_cells_1k_genes": measure(two_groups, "t-test", "b", ["a"]),
            "wilcoxon/35_knockouts_39k_cells_154_genes": measure(knockouts, "wilcoxon", "control", "all"),
            "versions": {"python": platform.python_version(), "numpy": numpy.__version__, "scanpy": scanpy.__version__},
        }
    )
)
