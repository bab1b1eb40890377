"""Writes a dense, gzipped AnnData file of so many cells and 1,122 genes, of which a cell shows a tenth.

python dense_section.py CELLS OUT.h5ad; needs h5py.
"""

import sys

import h5py
import numpy

GENES = 1122
BLOCK = 2500  # Cells that are written at once; four different blocks take turns.

cells, path = int(sys.argv[1]), sys.argv[2]
random = numpy.random.default_rng(1)
shown = 0.198 * (1 - numpy.arange(GENES) / GENES)


def block():
    counts = numpy.floor(1 / random.uniform(0.05, 1, size=(BLOCK, GENES)))
    return numpy.where(random.random((BLOCK, GENES)) < shown, counts, 0).astype("f4")


def encoded(node, kind, version="0.2.0"):
    node.attrs["encoding-type"], node.attrs["encoding-version"] = kind, version
    return node


def texts(group, name, values):
    encoded(group.create_dataset(name, data=numpy.array(values, dtype=object), dtype=h5py.string_dtype()), "string-array")


def table(file, name, index, columns):
    group = encoded(file.create_group(name), "dataframe")
    group.attrs["_index"] = "_index"
    group.attrs["column-order"] = numpy.array(list(columns), dtype=h5py.string_dtype())
    texts(group, "_index", index)
    for column, values in columns.items():
        if values.dtype.kind == "f":
            encoded(group.create_dataset(column, data=values), "array")
            continue
        categorical = encoded(group.create_group(column), "categorical")
        categorical.attrs["ordered"] = False
        categorical.create_dataset("codes", data=values.astype("i1"))
        texts(categorical, "categories", [f"{column}-{code}" for code in range(values.max() + 1)])


with h5py.File(path, "w") as file:
    encoded(file, "anndata", "0.1.0")
    matrix = file.create_dataset("X", (cells, GENES), "f4", chunks=(1000, GENES), compression="gzip", compression_opts=1)
    encoded(matrix, "array")
    blocks = [block() for _ in range(4)]
    for start in range(0, cells, BLOCK):
        matrix[start : start + BLOCK] = blocks[start // BLOCK % 4][: cells - start]
    places = {axis: random.uniform(0, 6000, cells) for axis in "xy"}
    number = numpy.arange(cells)
    table(file, "obs", [f"cell_{cell}" for cell in number], {**places, "section": number % 10, "class": number % 23})
    table(file, "var", [f"Gene{gene}" for gene in range(GENES)], {})
