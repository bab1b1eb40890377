"""Makes the small sections of this folder, in every encoding and format that tn-io reads, and what they hold (expected.json).

Run in this folder: python make.py (needs anndata 0.12, h5py, hdf5plugin, zarr 3, pyarrow), then make_spatialdata.py. versions.json records the versions
that made them. What a file holds is read back by anndata, h5py, pyarrow, not by tn-io.
"""

import json
import os
import shutil
import sys

import anndata
import h5py
import hdf5plugin
import numcodecs
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.sparse as sp
import zarr
from anndata.io import write_elem

anndata.settings.allow_write_nullable_strings = True

CELLS, GENES = 37, 11
COUNTS = np.random.default_rng(7).poisson(np.random.default_rng(8).gamma(0.3, 4.0, size=(CELLS, GENES))).astype(np.float32)
COUNTS[5] = 0  # a cell without any expression
SYMBOLS = [f"Gene{i}" for i in range(GENES - 1)] + ["größe"]
NAMES = [f"cell-{i}" for i in range(CELLS)]


def some(values, dtype):
    """Every fifth value is missing."""
    return pd.array([None if i % 5 == 3 else value for i, value in enumerate(values)], dtype=dtype)


def obs():
    table = pd.DataFrame(index=NAMES)
    places = np.random.default_rng(9).uniform(-50, 450, (CELLS, 2)).round(3)
    table["x"], table["y"] = places[:, 0], places[:, 1]
    table["y"] = table["y"].astype(np.float32)
    table["section"] = pd.Categorical(np.where(np.arange(CELLS) < 20, "s1", "s2"))
    table["class"] = pd.Categorical(["Astro", None, "Oligo", "Micro/glia", "OEC, olfactory"][i % 5] for i in range(CELLS))
    table["ordered"] = pd.Categorical(np.arange(CELLS) % 3, categories=[2, 1, 0], ordered=True)
    table["truth"] = pd.Categorical(np.arange(CELLS) % 2 == 0)
    table["nullable category"] = pd.Categorical(some([f"k{i % 4}" for i in range(CELLS)], "string"))
    table["note"] = [["", "a", "b, c", "größer", "line\nbreak"][i % 5] for i in range(CELLS)]
    table["inside"] = np.arange(CELLS) % 3 == 0
    table["int8"] = (np.arange(CELLS) - 18).astype(np.int8)
    table["uint64"] = np.arange(CELLS, dtype=np.uint64) << np.uint64(40)
    table["half missing"] = np.where(np.arange(CELLS) % 2 == 0, np.nan, 0.1).astype(np.float32)
    table["nullable integer"] = some(list(range(CELLS)), "Int64")
    table["nullable boolean"] = some([i % 2 == 0 for i in range(CELLS)], "boolean")
    table["nullable string"] = some([f"t{i}" for i in range(CELLS)], "string")
    return table


def section():
    data = anndata.AnnData(X=sp.csr_matrix(COUNTS[:, :7]), obs=obs(), var=pd.DataFrame(index=SYMBOLS[:7]))
    data.raw = anndata.AnnData(X=sp.csc_matrix(COUNTS), obs=data.obs[[]], var=pd.DataFrame(index=SYMBOLS))
    data.obsm["spatial"] = np.stack([data.obs["x"], data.obs["y"].astype(float) * 2], axis=1)
    data.layers["dense"] = COUNTS[:, :7].astype(np.float64)
    data.layers["csc"] = sp.csc_matrix(COUNTS[:, :7].astype(np.int32))
    data.layers["boolean"] = COUNTS[:, :7] > 1
    data.layers["log"] = sp.csr_matrix(np.log10(1 + COUNTS[:, :7]))
    data.uns["tissuenarrator"] = {"note": "größer"}
    return data


def make_h5ad():
    data = section()
    data.write_h5ad("plain.h5ad")
    data.write_h5ad("gzip.h5ad", compression="gzip")

    # Chunks that fit neither the rows nor the values, other filters, widths and byte orders, and 64-bit indices.
    shutil.copy("plain.h5ad", "chunked.h5ad")
    with h5py.File("chunked.h5ad", "r+") as file:
        layers = file["layers"]
        dense, csr, csc = COUNTS[:, :7], sp.csr_matrix(COUNTS[:, :7]), sp.csc_matrix(COUNTS[:, :7])
        csr.sort_indices()

        def write(name, values, **options):
            write_elem(layers, name, values, dataset_kwargs=options)

        write("dense gzip shuffle", dense, chunks=(4, 3), compression="gzip", shuffle=True)
        write("dense lzf shuffle", dense.astype(np.int16), chunks=(5, 7), compression="lzf", shuffle=True)
        write("dense checksum", dense.astype(np.uint8), chunks=(37, 1), fletcher32=True)
        write("dense scale offset", dense.astype(np.int32), chunks=(8, 7), scaleoffset=0)
        write("dense zstd", dense, chunks=(9, 7), **hdf5plugin.Zstd(clevel=3))
        write("dense lz4", dense, chunks=(9, 7), **hdf5plugin.LZ4())
        layers["dense big endian"] = dense.astype(">f4")
        layers["dense big endian integers"] = dense.astype(">i8")
        # Chunks that were never written hold the fill value.
        layers.create_dataset("zeros", shape=dense.shape, dtype="f4", chunks=(8, 7), fillvalue=0)
        for kind, matrix in [("csr", csr), ("csc", csc)]:
            group = layers.create_group(f"{kind} small chunks")
            group.attrs.update({"encoding-type": f"{kind}_matrix", "encoding-version": "0.1.0", "shape": matrix.shape})
            group.create_dataset("data", data=matrix.data.astype(np.float64), chunks=(16,), compression="gzip")
            group.create_dataset("indices", data=matrix.indices.astype(np.int64), chunks=(13,), compression="lzf")
            group.create_dataset("indptr", data=matrix.indptr.astype(np.uint32), chunks=(5,))
        # As anndata wrote sparse matrices before 0.7.
        old = layers.create_group("csr old attributes")
        old.attrs.update({"h5sparse_format": "csr", "h5sparse_shape": csr.shape})
        for part in ["data", "indices", "indptr"]:
            old.create_dataset(part, data=getattr(csr, part))

    # Names as bytes of a fixed length, as other programs write them; other names for the columns of names.
    shutil.copy("plain.h5ad", "fixed_length_names.h5ad")
    with h5py.File("fixed_length_names.h5ad", "r+") as file:
        for table, values in [("obs", NAMES), ("var", SYMBOLS[:7])]:
            del file[table][file[table].attrs["_index"]]
            file[table]["barkcode"] = np.array([value.encode() for value in values], dtype="S12")
            file[table].attrs["_index"] = "barkcode"

    data = section()
    data.obs.index = data.obs.index.astype("string")
    data.write_h5ad("nullable_names.h5ad")

    # A compression that nobody here reads, and that says so.
    shutil.copy("plain.h5ad", "blosc.h5ad")
    with h5py.File("blosc.h5ad", "r+") as file:
        del file["X"]
        write_elem(file, "X", COUNTS[:, :7], dataset_kwargs=dict(hdf5plugin.Blosc(cname="lz4")))

    data[:0].copy().write_h5ad("no_cells.h5ad")


def small():
    data = section()
    del data.raw, data.uns["tissuenarrator"], data.layers["log"], data.layers["boolean"]
    data.obs = data.obs[["x", "y", "section", "class", "truth", "note", "inside", "nullable integer"]]
    return data


def make_zarr():
    dense = COUNTS[:, :7]
    for version, codecs in [
        (2, {"blosc": {"compressor": numcodecs.Blosc(cname="lz4", shuffle=1)}, "gzip": {"compressor": numcodecs.GZip()}, "zlib": {"compressor": numcodecs.Zlib()}}),
        (3, {
            "blosc": {"compressors": [zarr.codecs.BloscCodec(cname="zstd", shuffle="bitshuffle")]},
            "gzip": {"compressors": [zarr.codecs.GzipCodec()]},
            "shards": {"shards": (20, 4), "chunks": (10, 2)},
        }),
    ]:
        anndata.settings.zarr_write_format = version
        folder = f"v{version}.zarr"
        shutil.rmtree(folder, ignore_errors=True)
        small().write_zarr(folder)
        layers = zarr.open_group(folder, mode="r+", use_consolidated=False)["layers"]
        for name, options in codecs.items():
            write_elem(layers, f"dense {name}", dense, dataset_kwargs={"chunks": (20, 4)} | options)
        zarr.consolidate_metadata(folder)


def make_xenium():
    """cell_feature_matrix.h5 and cells tables, by the description of the output files of Xenium Onboard Analysis 2."""
    kinds = ["Gene Expression"] * 8 + ["Negative Control Probe", "Negative Control Codeword", "Unassigned Codeword"]
    names = [f"aaaa{chr(97 + i // 26)}{chr(97 + i % 26)}-1" for i in range(CELLS)]
    os.makedirs("xenium", exist_ok=True)
    matrix = sp.csr_matrix(COUNTS.astype(np.int32))
    with h5py.File("xenium/cell_feature_matrix.h5", "w") as file:
        file.attrs["filetype"] = "matrix"
        group = file.create_group("matrix")
        group.create_dataset("barcodes", data=np.array(names, dtype="S"), compression="gzip")
        group.create_dataset("data", data=matrix.data, chunks=(32,), compression="gzip", shuffle=True)
        group.create_dataset("indices", data=matrix.indices.astype(np.int64), compression="gzip", shuffle=True)
        group.create_dataset("indptr", data=matrix.indptr.astype(np.int64), compression="gzip", shuffle=True)
        group.create_dataset("shape", data=np.array([GENES, CELLS], dtype=np.int32))
        features = group.create_group("features")
        features.create_dataset("name", data=np.array([symbol.encode() for symbol in SYMBOLS]))
        features.create_dataset("id", data=np.array([f"ENSG{i:011}".encode() for i in range(GENES)]))
        features.create_dataset("feature_type", data=np.array([kind.encode() for kind in kinds]))
        features.create_dataset("genome", data=np.array([b"Unknown"] * GENES))
    table = {
        "cell_id": names,
        "x_centroid": obs()["x"].to_numpy(),
        "y_centroid": np.arange(CELLS) * 3.5,
        "transcript_counts": COUNTS[:, :8].sum(axis=1).astype(np.int64),
        "cell_area": np.linspace(20, 200, CELLS),
    }
    pq.write_table(pa.table(table), "xenium/cells.parquet")
    return {name: list(map(plain, column)) for name, column in table.items()}


def plain(value):
    """A value as JSON has it: nothing for a missing one, lower-case words for booleans."""
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, (float, np.floating)) and np.isnan(value)):
        return None
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    return value.item() if isinstance(value, np.generic) else value


def main():
    make_h5ad()
    make_zarr()
    xenium = make_xenium()
    data = anndata.read_h5ad("plain.h5ad")
    expected = {
        "names": list(data.obs_names),
        "genes": list(data.var_names),
        "raw_genes": list(data.raw.var_names),
        "counts": data.raw.X.toarray().astype(int).tolist(),
        "spatial": data.obsm["spatial"].tolist(),
        "columns": {name: [plain(value) for value in data.obs[name]] for name in data.obs},
        "xenium": xenium,
    }
    with open("expected.json", "w") as file:
        json.dump(expected, file, ensure_ascii=False, separators=(",", ":"))
        file.write("\n")
    modules = [anndata, h5py, hdf5plugin, zarr, numcodecs, pa, pd, np]
    versions = {"python": sys.version.split()[0]} | {module.__name__: getattr(module, "__version__", None) or module.version for module in modules}
    with open("versions.json", "w") as file:
        json.dump(versions, file, indent=2)
        file.write("\n")


if __name__ == "__main__":
    main()
