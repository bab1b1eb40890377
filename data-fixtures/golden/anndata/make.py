"""Makes the small AnnData files of this folder. Run: python make.py (needs anndata, h5py).

All files hold the same 6 cells of 4 genes; they differ in how they are stored.
versions.json records the versions that made them.
"""

import json
import sys

import anndata
import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp

anndata.settings.allow_write_nullable_strings = True

COUNTS = np.array([[0, 3, 1, 0], [2, 0, 0, 0], [0, 0, 0, 0], [1, 1, 5, 0], [0, 0, 0, 7], [4, 0, 2, 0]], dtype=np.float32)
GENES = ["Gfap", "Aqp4", "Mbp", "Cx3cr1"]


def obs():
    table = pd.DataFrame(index=[f"cell_{i}" for i in range(6)])
    table["x"] = np.array([1.5, 2.5, 3.5, 10.0, 20.0, 30.0])
    table["y"] = np.array([5, 6, 7, 8, 9, 10], dtype=np.int32)
    table["section"] = pd.Categorical(["s1", "s1", "s1", "s2", "s2", "s2"])
    table["class"] = pd.Categorical(["Astro", "Oligo", None, "Micro/glia", "Astro", "Oligo"])
    table["note"] = ["a", "b, c", "", "größer", "e", "f"]
    table["inside"] = [True, False, True, True, False, False]
    return table


def make(matrix, **more):
    data = anndata.AnnData(X=matrix, obs=obs(), var=pd.DataFrame(index=GENES))
    for key, value in more.items():
        setattr(data, key, value)
    return data


def main():
    csr = make(sp.csr_matrix(COUNTS))
    csr.layers["log"] = np.log10(1 + COUNTS).astype(np.float64)
    csr.obsm["spatial"] = np.stack([csr.obs["x"], csr.obs["y"]], axis=1)
    csr.write_h5ad("csr.h5ad", compression="gzip")

    make(COUNTS).write_h5ad("dense.h5ad")
    make(COUNTS.astype(np.int64)).write_h5ad("dense_int64_lzf.h5ad", compression="lzf")
    make(sp.csc_matrix(COUNTS)).write_h5ad("csc.h5ad")

    nullable = make(sp.csr_matrix(COUNTS))
    nullable.obs["age"] = pd.array([1, None, 3, 4, 5, 6], dtype="Int64")
    nullable.obs["label"] = pd.array(["p", None, "q", "p", "q", "r"], dtype="string")
    nullable.obs.index = nullable.obs.index.astype("string")
    nullable.write_h5ad("nullable.h5ad")

    places = make(sp.csr_matrix(COUNTS))
    places.obsm["spatial"] = np.stack([places.obs["x"], places.obs["y"], np.zeros(6)], axis=1)
    del places.obs["x"], places.obs["y"]
    places.write_h5ad("spatial_only.h5ad")

    # As anndata 0.7 wrote categories: codes in the column, values in __categories, fixed attributes.
    make(sp.csr_matrix(COUNTS)).write_h5ad("old_categories.h5ad")
    with h5py.File("old_categories.h5ad", "r+") as file:
        table = file["obs"]
        for name in ["section", "class"]:
            values = table[name]["categories"].asstr()[:]
            codes = table[name]["codes"][:]
            del table[name]
            stored = table.create_dataset(f"__categories/{name}", data=values.astype(object), dtype=h5py.string_dtype())
            column = table.create_dataset(name, data=codes)
            column.attrs["categories"] = stored.ref
        table.attrs["encoding-version"] = "0.1.0"

    # As anndata before 0.7 wrote tables: one array of records.
    with h5py.File("records.h5ad", "w") as file:
        table = np.array([(b"cell_0", 1.5)], dtype=[("index", "S6"), ("x", "f8")])
        file["obs"] = table
        file["var"] = np.array([(b"Gfap",)], dtype=[("index", "S4")])
        file["X"] = COUNTS[:1, :1]

    versions = {"python": sys.version.split()[0], "anndata": anndata.__version__, "h5py": h5py.__version__, "hdf5": h5py.version.hdf5_version}
    with open("versions.json", "w") as file:
        json.dump(versions, file, indent=2)
        file.write("\n")


main()
