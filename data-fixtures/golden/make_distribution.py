"""Makes distribution.json: comparisons of two samples of cells by other programs. Run: python make_distribution.py

Needs numpy, scipy, scikit-learn, scanpy and squidpy. All inputs are drawn from a seeded generator, in steps of 1/64 so that they are
exact in 32 bits. Energy distance and maximum mean discrepancy are the textbook double loops.
"""

import itertools
import json
from importlib.metadata import version
from pathlib import Path

import anndata
import numpy as np
import scanpy
import scipy.sparse
import squidpy
from scipy import stats
from scipy.spatial import distance
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix, precision_score, recall_score, roc_auc_score
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.preprocessing import StandardScaler

rng = np.random.default_rng(20240607)


def stepped(values):
    return np.round(np.asarray(values) * 64) / 64


def sparse_cells(n, n_genes, shift):
    """Cells with zeros, two programs of genes that go together, gene 0 absent."""
    programs = rng.gamma(2.0, 0.5, (n, 2)) + shift
    values = programs[:, np.arange(n_genes) % 2] * rng.gamma(4.0, 0.25, (n, n_genes))
    values *= rng.random((n, n_genes)) < 0.55
    values[:, 0] = 0.0
    return stepped(values)


def upper(matrix):
    """The entries above the diagonal, row by row; null where a gene is constant."""
    n = len(matrix)
    return [None if np.isnan(matrix[i, j]) else float(matrix[i, j]) for i in range(n) for j in range(i + 1, n)]


def correlations(x, y):
    cases = {}
    for name, of in [("pearson", lambda m: np.corrcoef(m.T)), ("spearman", lambda m: np.corrcoef(stats.rankdata(m, axis=0).T))]:
        with np.errstate(invalid="ignore", divide="ignore"):
            a, b = upper(of(x)), upper(of(y))
        both = np.array([(p, q) for p, q in zip(a, b) if p is not None and q is not None])
        cases[name] = {
            "generated": a,
            "observed": b,
            "agreement": float(np.corrcoef(both.T)[0, 1]),
            "mean_absolute_difference": float(np.abs(both[:, 0] - both[:, 1]).mean()),
        }
    return cases


def moments(x, y):
    mean, var, seen = (lambda m: m.mean(0)), (lambda m: m.var(0, ddof=1)), (lambda m: (m != 0).mean(0))
    kept = (mean(x) > 0) & (mean(y) > 0) & (var(x) > 0) & (var(y) > 0)
    agreement = {
        name: {
            "pearson": float(stats.pearsonr(a, b).statistic),
            "spearman": float(stats.spearmanr(a, b).statistic),
            "mean_difference": float((a - b).mean()),
        }
        for name, a, b in [
            ("log_mean", np.log10(mean(x)[kept]), np.log10(mean(y)[kept])),
            ("log_variance", np.log10(var(x)[kept]), np.log10(var(y)[kept])),
            ("detection", seen(x), seen(y)),
        ]
    }
    return {"genes": int(kept.sum()), "means": list(mean(x)), "variances": list(var(x)), "detection": list(seen(x)), "agreement": agreement}


def mean_over_pairs(a, b, of, leave_out_same):
    return float(np.mean([of(p, q) for i, p in enumerate(a) for j, q in enumerate(b) if not (leave_out_same and i == j)]))


def discrepancy(x, y, of, unbiased):
    within = mean_over_pairs(x, x, of, unbiased) + mean_over_pairs(y, y, of, unbiased)
    return within - 2 * mean_over_pairs(x, y, of, False)


def two_sample(x, y):
    distances = distance.pdist(np.vstack([x, y]))
    sigma = float(np.median(distances[distances > 0]))
    kernel = lambda p, q: rbf_kernel(p[None], q[None], gamma=1 / (2 * sigma**2))[0, 0]
    energy = lambda p, q: -distance.euclidean(p, q)
    return {
        "bandwidth": sigma,
        "energy": {"biased": discrepancy(x, y, energy, False), "unbiased": discrepancy(x, y, energy, True)},
        "mmd": {"biased": discrepancy(x, y, kernel, False), "unbiased": discrepancy(x, y, kernel, True)},
    }


def exact_p_values(x, y, sigma):
    """The share of all relabelings whose biased statistic reaches the observed one."""
    pooled, n = np.vstack([x, y]), len(x)
    d = distance.cdist(pooled, pooled)
    shares = {}
    for name, k in [("energy", -d), ("mmd", np.exp(-(d**2) / (2 * sigma**2)))]:
        values = []
        for members in itertools.combinations(range(len(pooled)), n):
            first = np.isin(np.arange(len(pooled)), members)
            values.append(k[np.ix_(first, first)].mean() + k[np.ix_(~first, ~first)].mean() - 2 * k[np.ix_(first, ~first)].mean())
        shares[name] = float(np.mean(np.array(values) >= values[0] - 1e-12))
    return shares


def autocorrelation():
    n = 60
    places = rng.random((n, 2)) * 100
    d = distance.cdist(places, places)
    np.fill_diagonal(d, np.inf)
    nearest = np.zeros((n, n))
    for i in range(n):
        nearest[i, np.argsort(d[i])[:5]] = 1
    within = (d <= 14.0).astype(float)
    smooth = places[:, 0] / 40 + rng.normal(0, 0.4, n)
    patch = np.where(places[:, 1] > 60, rng.gamma(2.0, 1.0, n), 0)
    noise = np.where(rng.random(n) < 0.3, rng.gamma(2.0, 1.0, n), 0)
    values = stepped(np.column_stack([smooth, patch, noise, (np.arange(n) == 7) * 2.0]))
    cases = []
    for name, raw in [("nearest", nearest), ("within", within)]:
        sums = raw.sum(1, keepdims=True)
        standardized = np.divide(raw, sums, out=np.zeros_like(raw), where=sums > 0)
        case = {"name": name, "neighbors": [np.flatnonzero(row).tolist() for row in raw], "x": values.tolist()}
        for kind, weights in [("raw", raw), ("row_standardized", standardized)]:
            graph = scipy.sparse.csr_matrix(weights)
            data = anndata.AnnData(values, obsp={"spatial_connectivities": graph})
            data.var_names = [f"G{i}" for i in range(values.shape[1])]
            options = dict(mode="moran", transformation=False, corr_method=None, copy=True)
            one = squidpy.gr.spatial_autocorr(data, two_tailed=False, **options).loc[data.var_names]
            two = squidpy.gr.spatial_autocorr(data, two_tailed=True, **options).loc[data.var_names]
            case[kind] = {
                "scanpy_morans_i": list(map(float, scanpy.metrics.morans_i(graph, values.T))),
                "squidpy_i": list(map(float, two["I"])),
                "squidpy_pval_norm": list(map(float, one["pval_norm"])),
                "squidpy_pval_norm_two_tailed": list(map(float, two["pval_norm"])),
                "squidpy_var_norm": float(two["var_norm"].iloc[0]),
            }
        cases.append(case)
    return cases


def composition():
    names = np.array(["Astro", "Neuron", "OEC", "Microglia"])
    truth, written = rng.choice(names[:3], 40, p=[0.6, 0.3, 0.1]), rng.choice(names, 40, p=[0.3, 0.3, 0.2, 0.2])
    classes = sorted(set(truth) | set(written))
    p, q = ([float(np.mean(side == name)) for name in classes] for side in (written, truth))
    matrix = confusion_matrix(truth, written, labels=classes)
    return {
        "written": written.tolist(),
        "truth": truth.tolist(),
        "classes": classes,
        "total_variation": float(distance.cityblock(p, q) / 2),
        "jensen_shannon": float(distance.jensenshannon(p, q, base=2) ** 2),
        "confusion": matrix.tolist(),
        "recall": recall_score(truth, written, labels=classes, average=None, zero_division=0).tolist(),
        "precision": precision_score(truth, written, labels=classes, average=None, zero_division=0).tolist(),
    }


def diversity(x, top):
    n = len(x)
    first = np.zeros(x.shape, bool)
    for cell, row in enumerate(x):
        ranked = [gene for gene in np.argsort(-row, kind="stable") if row[gene] > 0]
        first[cell, ranked[:top]] = True
    jaccard = [1 - distance.jaccard(first[i], first[j]) for i in range(n) for j in range(i + 1, n)]
    return {
        "top": top,
        "panel_coverage": float((x > 0).any(0).mean()),
        "usage_entropy": float(stats.entropy(first.sum(0), base=2)),
        "mean_jaccard": float(np.mean(jaccard)),
    }


def logistic_regression(x, labels):
    def fit(c):
        model = LogisticRegression(C=c, tol=1e-12, max_iter=100_000, solver="newton-cholesky").fit(x, labels)
        return {"C": c, "coefficients": model.coef_[0].tolist(), "intercept": float(model.intercept_[0])}

    return {"x": x.tolist(), "labels": labels.tolist(), "expected": [fit(c) for c in (0.01, 1.0, 100.0)]}


def classifier_two_sample(x, labels):
    c, folds, odds = 0.5, np.arange(len(x)) % 4, np.zeros(len(x))
    for fold in range(4):
        learned = folds != fold
        scaler = StandardScaler().fit(x[learned])
        model = LogisticRegression(C=c, tol=1e-12, max_iter=100_000, solver="newton-cholesky")
        model.fit(scaler.transform(x[learned]), labels[learned])
        odds[~learned] = model.decision_function(scaler.transform(x[~learned]))
    tails = [{"right": k, "n": n, "p": float(stats.binom.sf(k - 1, n, 0.5))} for k, n in [(0, 5), (5, 5), (30, 50), (700, 1000)]]
    expected = {"decision_function": odds.tolist(), "auroc": float(roc_auc_score(labels, odds)), "binomial_tail": tails}
    return {"x": x.tolist(), "labels": labels.tolist(), "folds": folds.tolist(), "C": c, "expected": expected}


def main():
    x, y = sparse_cells(40, 10, 0.0), sparse_cells(55, 10, 0.3)
    x[:, 1] = 1.5
    small_x, small_y = sparse_cells(5, 10, 0.0), sparse_cells(5, 10, 0.6)
    line_x, line_y = stepped(rng.gamma(2.0, 1.0, (30, 1))), stepped(rng.gamma(3.0, 1.0, (20, 1)))
    labels = np.repeat([1, 0], [40, 55])
    pooled = np.vstack([x, y])
    sigma = two_sample(small_x, small_y)["bandwidth"]
    packages = ["numpy", "scipy", "scikit-learn", "scanpy", "squidpy", "anndata"]
    golden = {
        "function": "numpy.corrcoef, scipy.stats, scipy.spatial.distance, sklearn, scanpy.metrics.morans_i, squidpy.gr.spatial_autocorr",
        "description": "Comparisons of two samples of cells: see make_distribution.py.",
        "versions": {package: version(package) for package in packages},
        "generated": x.tolist(),
        "observed": y.tolist(),
        "correlations": correlations(x, y),
        "moments": moments(x, y),
        "two_sample": two_sample(x, y),
        "two_sample_exact": {"x": small_x.tolist(), "y": small_y.tolist(), "sigma": sigma, "p": exact_p_values(small_x, small_y, sigma)},
        "scipy_energy_distance": {
            "x": line_x.ravel().tolist(),
            "y": line_y.ravel().tolist(),
            "expected": float(stats.energy_distance(line_x.ravel(), line_y.ravel())),
        },
        "autocorrelation": autocorrelation(),
        "composition": composition(),
        "diversity": diversity(y, 3),
        "logistic_regression": logistic_regression(pooled, rng.permutation(labels)),
        "classifier_two_sample": classifier_two_sample(pooled, labels),
    }
    Path(__file__).with_name("distribution.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
