"""Makes communication.json: LIANA's CellChat score for pairs of genes, and a textbook in NumPy for complexes, co-factors and neighbors.

Needs: pip install liana (and NumPy, SciPy, pandas, anndata with it). All numbers are made up from a seed.
"""

import json
import warnings

import anndata
import liana
import numpy
import pandas
import scipy
import scipy.sparse

warnings.simplefilter("ignore")
rng = numpy.random.default_rng(11)
GENES = ["L1", "L2", "LA", "LB", "R1", "R2", "RA", "RB", "AG", "AN", "CS", "CI"]
GROUPS = ["alpha", "beta", "gamma"]
CELLS = 90
labels = rng.permutation(numpy.repeat(GROUPS, [40, 30, 20]))
rates = rng.uniform(0.2, 3.0, (len(GROUPS), len(GENES)))
counts = rng.poisson(rates[[GROUPS.index(label) for label in labels]])
x = numpy.log1p(counts).astype(numpy.float32)
places = numpy.round(rng.uniform(0, 100, (CELLS, 2)), 3)
RADIUS = 15.0

single = [("L1", "R1"), ("L2", "R2"), ("L1", "R2"), ("LA", "RB")]
adata = anndata.AnnData(scipy.sparse.csr_matrix(x), obs=pandas.DataFrame({"group": pandas.Categorical(labels)}, index=[f"c{i}" for i in range(CELLS)]), var=pandas.DataFrame(index=GENES))
resource = pandas.DataFrame(single, columns=["ligand", "receptor"])
result = liana.mt.cellchat(adata, groupby="group", resource=resource, expr_prop=0.0, min_cells=1, use_raw=False, n_perms=10, return_all_lrs=True, inplace=False, verbose=False)
liana_rows = [
    {"source": row["source"], "target": row["target"], "ligand": row["ligand"], "receptor": row["receptor"], "probability": float(row["lr_probs"])}
    for _, row in result.iterrows()
]

scaled = x.astype(float) / float(x.max())


def trimean(values):
    return numpy.quantile(values, [0.25, 0.5, 0.5, 0.75]).mean()


average = {gene: {group: trimean(scaled[labels == group, index]) for group in GROUPS} for index, gene in enumerate(GENES)}


def hill(value, n, k=0.5):
    return value**n / (k**n + value**n)


def molecule(name, group):
    subunits = name.split("_")
    return numpy.prod([average[gene][group] for gene in subunits]) ** (1 / len(subunits))


def textbook(pair, n, weigh_sizes):
    rows = []
    for source in GROUPS:
        for target in GROUPS:
            receptor = molecule(pair["receptor"], target)
            for gene in pair["co_stimulators"]:
                receptor *= 1 + average[gene][target]
            for gene in pair["co_inhibitors"]:
                receptor /= 1 + average[gene][target]
            p = hill(molecule(pair["ligand"], source) * receptor, n)
            for group in (source, target):
                for gene in pair["agonists"]:
                    p *= 1 + hill(average[gene][group], n)
                for gene in pair["antagonists"]:
                    p *= 0.5**n / (0.5**n + average[gene][group] ** n)
            if weigh_sizes:
                p *= (labels == source).mean() * (labels == target).mean()
            rows.append({"source": source, "target": target, "probability": float(p)})
    return rows


plain = {"agonists": [], "antagonists": [], "co_stimulators": [], "co_inhibitors": []}
pairs = [
    {"ligand": "LA_LB", "receptor": "RA_RB", **plain},
    {"ligand": "L1", "receptor": "RA_RB_R1", **plain, "agonists": ["AG"], "antagonists": ["AN"]},
    {"ligand": "L2", "receptor": "R2", **plain, "co_stimulators": ["CS"], "co_inhibitors": ["CI"]},
]
textbook_cases = [
    {"pair": pair, "hill": n, "weigh_sizes": weigh_sizes, "rows": textbook(pair, n, weigh_sizes)}
    for pair in pairs
    for n, weigh_sizes in [(1.0, False), (2.0, True)]
]

# Between neighbors: the mean over contacts of the product of both geometric means, contacts counted from both sides.
near = []
for ligand, receptor in [("L1", "R1"), ("LA_LB", "RA_RB")]:
    def cell_mean(name):
        columns = [scaled[:, GENES.index(gene)] for gene in name.split("_")]
        return numpy.prod(columns, axis=0) ** (1 / len(columns))

    l, r = cell_mean(ligand), cell_mean(receptor)
    for source in GROUPS:
        for target in GROUPS:
            products = [
                l[i] * r[j]
                for i in range(CELLS)
                for j in range(CELLS)
                if i != j and labels[i] == source and labels[j] == target and numpy.hypot(*(places[i] - places[j])) <= RADIUS
            ]
            mean = float(numpy.mean(products)) if products else 0.0
            near.append({"ligand": ligand, "receptor": receptor, "source": source, "target": target, "contacts": len(products), "probability": hill(mean, 1.0)})

golden = {
    "function": "liana.mt.cellchat (pairs of genes); textbook formulas in NumPy (complexes, co-factors, neighbors)",
    "versions": {"liana": liana.__version__, "numpy": numpy.__version__, "scipy": scipy.__version__},
    "tolerance": {"liana": 1e-6, "textbook": 1e-6},
    "genes": GENES,
    "labels": labels.tolist(),
    "places": places.tolist(),
    "radius": RADIUS,
    "counts": counts.tolist(),
    "liana": liana_rows,
    "textbook": textbook_cases,
    "near": near,
}
with open("communication.json", "w") as file:
    json.dump(golden, file, separators=(",", ":"))
    file.write("\n")
