"""Writes box_statistics.json: quartiles and whiskers as matplotlib draws them."""

import json
import pathlib

import matplotlib
import numpy
from matplotlib.cbook import boxplot_stats


def main():
    random = numpy.random.default_rng(20)
    samples = [
        [3.0],
        [1.0, 2.0],
        [2.0, 2.0, 2.0],
        [1.0, 2.0, 3.0, 4.0],
        [0.0, 0.0, 0.0, 0.0, 5.0],
        [1.0, 2.0, 3.0, 4.0, 100.0],
        [-50.0, 1.0, 2.0, 2.5, 3.0, 60.0],
        [0.0, 10.0, 10.0, 10.0, 10.0, 10.0, 11.0],
        list(random.normal(size=37).round(4)),
        list(random.exponential(size=50).round(4)),
        list((1e6 + random.normal(size=11)).round(4)),
    ]
    cases = []
    for values in samples:
        stats = boxplot_stats(values, whis=1.5)[0]
        expected = {name: float(stats[name]) for name in ["whislo", "q1", "med", "q3", "whishi"]}
        cases.append({"values": [float(value) for value in values], "expected": expected})
    golden = {
        "function": "matplotlib.cbook.boxplot_stats(values, whis=1.5)",
        "description": "Quartiles by linear interpolation; whiskers at the farthest values within 1.5 interquartile ranges.",
        "versions": {"matplotlib": matplotlib.__version__, "numpy": numpy.__version__},
        "tolerance": 1e-12,
        "cases": cases,
    }
    path = pathlib.Path(__file__).with_name("box_statistics.json")
    path.write_text(json.dumps(golden, indent=1) + "\n", encoding="utf-8")


main()
