"""Writes differential_expression.json: what scanpy and SciPy say about made-up groups of cells.

python make_differential_expression.py; needs scanpy.
"""

import json
import warnings
from pathlib import Path

import anndata
import numpy
import pandas
import scanpy
import scipy
from scipy.stats import mannwhitneyu, ttest_ind

warnings.simplefilter("ignore")
scanpy.settings.verbosity = 0

CELLS = 48
# Of scanpy's results, those that have a value for each gene.
COLUMNS = {"names": "names", "scores": "scores", "logfoldchanges": "logfoldchanges", "pvals": "pvals", "pvals_adj": "pvals_adj"}


def made_up():
    """Counts as log2(1 + x), signed values, and genes that are equal in some or in all cells; labels a, b, c."""
    random = numpy.random.default_rng(11)
    labels = random.choice(["a", "b", "c"], CELLS, p=[0.3, 0.4, 0.3])
    values = numpy.round(numpy.log2(1 + random.poisson(random.uniform(0.2, 4, 12), (CELLS, 12))), 3)
    values[labels == "a", 0] += 1.5
    values[:, 1] = numpy.round(random.normal(0.5, 1, CELLS), 1)  # Negative values, ties, zeros among them.
    values[:, 2] = numpy.where(random.random(CELLS) < 0.3, -0.25, 0)  # Zeros are the highest.
    values[:, 3] = 0
    values[:, 4] = 0.5
    values[labels == "b", 5] = 0.25  # No variance in one group ...
    values[:, 6] = numpy.where(labels == "a", 0.5, 0.25)  # ... and in none.
    values[labels != "c", 7] = 0
    return values.astype(numpy.float32), labels


def text(value):
    """Numbers that JSON lacks are text, as in the other golden files."""
    if numpy.isfinite(value):
        return float(value)
    return "NaN" if numpy.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def by_scanpy(values, labels, method, tie_correct, group, reference):
    obs = pandas.DataFrame({"group": pandas.Categorical(labels)}, index=[str(cell) for cell in range(len(labels))])
    data = anndata.AnnData(values, obs=obs, var=pandas.DataFrame(index=[f"G{gene}" for gene in range(values.shape[1])]))
    data.uns["log1p"] = {"base": 2}
    options = {"tie_correct": tie_correct} if method == "wilcoxon" else {}
    scanpy.tl.rank_genes_groups(data, "group", groups=[group], reference=reference, method=method, pts=True, **options)
    table = scanpy.get.rank_genes_groups_df(data, group)
    detected = data.uns["rank_genes_groups"]["pts_rest" if reference == "rest" else "pts"]
    expected = {column: list(table[column]) if column == "names" else [text(value) for value in table[column]] for column in COLUMNS}
    expected["pct_nz_group"] = [text(data.uns["rank_genes_groups"]["pts"][group][gene]) for gene in table["names"]]
    expected["pct_nz_reference"] = [text(detected[group if reference == "rest" else reference][gene]) for gene in table["names"]]
    return {"method": method, "tie_correct": tie_correct, "group": group, "reference": reference, "expected": expected}


def by_scipy(values, labels, group, reference):
    chosen, other = values[labels == group].astype(float), values[labels != group if reference == "rest" else labels == reference].astype(float)
    rank_sum = mannwhitneyu(chosen, other, use_continuity=False, method="asymptotic")
    t_test = ttest_ind(chosen, other, equal_var=False)
    return {
        "group": group,
        "reference": reference,
        "rank_sum_pvals": [text(value) for value in rank_sum.pvalue],
        "welch_scores": [text(value) for value in t_test.statistic],
        "welch_pvals": [text(value) for value in t_test.pvalue],
    }


def in_the_tail(n, m):
    """Cells that hold 1 to n + m, the highest in the group: the largest score that is possible."""
    higher, lower = numpy.arange(m + 1, m + n + 1, dtype=float), numpy.arange(1, m + 1, dtype=float)
    rank_sum = mannwhitneyu(higher, lower, use_continuity=False, method="asymptotic")
    t_test = ttest_ind(higher, lower, equal_var=False)
    return {"n": n, "m": m, "rank_sum_pval": rank_sum.pvalue, "welch_score": t_test.statistic, "welch_pval": t_test.pvalue}


values, labels = made_up()
pairs = [("a", "b"), ("c", "a"), ("a", "rest"), ("b", "rest")]
tests = [("wilcoxon", False), ("wilcoxon", True), ("t-test", False)]
golden = {
    "function": "scanpy.tl.rank_genes_groups(method='wilcoxon' and 't-test', pts=True); scipy.stats.mannwhitneyu and ttest_ind",
    "description": "values: cells x genes G0, G1, ... as float32, logarithms of base 2. scanpy: tables in its order; the order of equal scores is "
    "arbitrary. scipy: for each gene; NaN where all values are equal. tail: groups of n and m cells without overlap, the values 1 to n + m.",
    "versions": {"scanpy": scanpy.__version__, "anndata": anndata.__version__, "scipy": scipy.__version__},
    "tolerance": {"scores": 1e-5, "pvals": 1e-6, "logfoldchanges": 1e-4},
    "values": [[float(numpy.round(value, 3)) for value in cell] for cell in values],
    "labels": list(labels),
    "scanpy": [by_scanpy(values, labels, *test, *pair) for pair in pairs for test in tests],
    "scipy": [by_scipy(values, labels, *pair) for pair in pairs],
    "tail": [in_the_tail(n, m) for n, m in [(3, 4), (20, 30), (200, 150), (500, 500), (100, 2000), (700, 900)]],
}
Path(__file__).with_name("differential_expression.json").write_text(json.dumps(golden, allow_nan=False) + "\n")
