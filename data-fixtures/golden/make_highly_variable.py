"""Writes highly_variable.json: what scanpy says about the variability of genes whose counts follow from a formula.

python make_highly_variable.py; needs scanpy and scikit-misc.
"""

import json
import warnings
from importlib.metadata import version
from pathlib import Path

import anndata
import numpy
import scanpy

warnings.simplefilter("ignore")


def counts(cells, genes):
    """Skewed counts, the higher the later the gene; every seventeenth gene is a marker of every tenth cell."""
    z = numpy.arange(1, cells * genes + 1, dtype=numpy.uint64) * numpy.uint64(0x9E3779B97F4A7C15)  # SplitMix64 from seed 0.
    z = (z ^ (z >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
    random = (z ^ (z >> numpy.uint64(31))).reshape(cells, genes)
    skewed = 100_000 // (50 + random % 1_000) - 95  # 0 to 1,905.
    cell, gene = numpy.mgrid[:cells, :genes].astype(numpy.uint64)
    marked = 1 + 3 * ((cell % 10 == 0) & (gene % 17 == 0)).astype(numpy.uint64)
    return (skewed * (gene + 43) ** 2 * marked // 4_000_000).astype(numpy.float32)


def expected(values, flavor, top):
    table = scanpy.pp.highly_variable_genes(anndata.AnnData(values), flavor=flavor, n_top_genes=top, inplace=False)
    variability = table["variances_norm" if flavor == "seurat_v3" else "dispersions_norm"]
    return {"variability": [float(value) for value in variability], "highly_variable": [bool(value) for value in table["highly_variable"]]}


def case(flavor, cells, genes, top):
    values = counts(cells, genes)
    values = values if flavor == "seurat_v3" else numpy.log1p(values)
    return {"flavor": flavor, "cells": cells, "genes": genes, "n_top_genes": top, "expected": expected(values, flavor, top)}


shapes = [(400, 150, 30), (300, 333, 50)]
golden = {
    "function": "scanpy.pp.highly_variable_genes(flavor='seurat_v3' and 'cell_ranger')",
    "description": "Counts of cell c and gene g of n: r = output c * n + g of SplitMix64 from seed 0; (100000 / (50 + r mod 1000) - 95) * (g + 43)^2 * m / "
    "4000000 in integers, m = 4 if c mod 10 = 0 and g mod 17 = 0, else 1. seurat_v3 takes these, cell_ranger ln(1 + count) as float32.",
    "versions": {"scanpy": scanpy.__version__, "scikit-misc": version("scikit-misc"), "numpy": numpy.__version__},
    "tolerance": {"variability": 1e-5},
    "cases": [case(flavor, *shape) for flavor in ["seurat_v3", "cell_ranger"] for shape in shapes],
}
Path(__file__).with_name("highly_variable.json").write_text(json.dumps(golden, allow_nan=False) + "\n")
