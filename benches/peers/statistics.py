"""The peer of `cargo xtask bench eval`: scanpy and GSEApy. A line of JSON in, a line of JSON out."""

import json
import logging
import platform
import sys
import time
import warnings

import anndata
import gseapy
import numpy
import pandas
import scanpy
from scipy.sparse import csr_matrix

warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)
scanpy.settings.verbosity = 0


def split_mix(n):
    z = numpy.arange(1, n + 1, dtype=numpy.uint64) * numpy.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
    return z ^ (z >> numpy.uint64(31))


def matrix(cells, genes, shown, labels):
    """The same numbers as ours."""
    random = split_mix(cells * genes)
    hundredths = 100_000 // (50 + (random >> numpy.uint64(10)) % 1_000)
    values = numpy.where(random % 1_024 < shown, hundredths.astype(numpy.float32) / numpy.float32(100), numpy.float32(0))
    obs = pandas.DataFrame({"group": pandas.Categorical(labels)}, index=[str(cell) for cell in range(cells)])
    var = pandas.DataFrame(index=[f"G{gene}" for gene in range(genes)])
    return anndata.AnnData(csr_matrix(values.reshape(cells, genes)), obs=obs, var=var)


DATA = {}


def wilcoxon(command):
    cells, genes, groups, per_group = (command[name] for name in ("cells", "genes", "groups", "per_group"))
    key = (cells, genes, groups)
    if key not in DATA:
        labels = [f"group{cell // per_group:02}" if cell < groups * per_group else "control" for cell in range(cells)]
        DATA[key] = matrix(cells, genes, command["shown"], labels)
    data = DATA[key]
    start = time.perf_counter()
    scanpy.tl.rank_genes_groups(data, "group", groups="all", reference="control", method="wilcoxon", tie_correct=True, pts=True)
    seconds = time.perf_counter() - start
    first = scanpy.get.rank_genes_groups_df(data, "group00").iloc[0]
    return {"seconds": seconds, "gene": first["names"], "score": float(first["scores"])}


def prerank(command):
    with open(command["file"]) as file:
        given = json.load(file)
    ranking = pandas.DataFrame(given["ranking"])
    start = time.perf_counter()
    result = gseapy.prerank(
        rnk=ranking, gene_sets=given["sets"], min_size=5, max_size=500, permutation_num=command["permutations"], threads=1,
        seed=7, outdir=None, no_plot=True, verbose=False,
    )
    seconds = time.perf_counter() - start
    scores = {row["Term"]: float(row["ES"]) for _, row in result.res2d.iterrows()}
    return {"seconds": seconds, "scores": scores}


def versions(_):
    return {"python": platform.python_version(), "numpy": numpy.__version__, "scanpy": scanpy.__version__, "gseapy": gseapy.__version__}


COMMANDS = {"wilcoxon": wilcoxon, "prerank": prerank, "versions": versions}

for line in sys.stdin:
    command = json.loads(line)
    try:
        answer = COMMANDS[command["do"]](command)
    except Exception as error:  # The other side reports it.
        answer = {"error": repr(error)}
    print(json.dumps(answer), flush=True)
