"""Makes spatialdata.zarr of plain.h5ad. Run in this folder after make.py: python make_spatialdata.py (needs spatialdata)."""

import json
import shutil

import anndata
import numpy as np
import pandas as pd
import spatialdata
from spatialdata.models import TableModel


def main():
    table = anndata.read_h5ad("plain.h5ad")
    del table.raw, table.uns["tissuenarrator"]
    table.layers.clear()
    table.obs = table.obs[["section", "class"]]
    table.obs["region"] = pd.Categorical(["cells"] * table.n_obs)
    table.obs["instance_id"] = np.arange(table.n_obs)
    table = TableModel.parse(table, region="cells", region_key="region", instance_key="instance_id")
    shutil.rmtree("spatialdata.zarr", ignore_errors=True)
    spatialdata.SpatialData(tables={"table": table}).write("spatialdata.zarr")

    with open("versions.json") as file:
        versions = json.load(file)
    versions["spatialdata"] = spatialdata.__version__
    with open("versions.json", "w") as file:
        json.dump(versions, file, indent=2)
        file.write("\n")


if __name__ == "__main__":
    main()
