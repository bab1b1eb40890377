"""Makes models.json: scikit-learn's ridge and isotonic regressions. Needs: pip install scikit-learn."""

import json

import numpy
import sklearn
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import Ridge

rng = numpy.random.default_rng(8)
ridge = []
for rows, features, outcomes, penalty in [(12, 3, 2, 1.0), (40, 6, 4, 0.1), (8, 10, 3, 5.0)]:
    x = rng.dirichlet(numpy.ones(features), rows)
    y = x @ rng.normal(size=(features, outcomes)) + rng.normal(0, 0.1, (rows, outcomes))
    model = Ridge(alpha=penalty).fit(x, y)
    ridge.append({"x": x.tolist(), "y": y.tolist(), "penalty": penalty, "intercept": model.intercept_.tolist(), "coefficients": model.coef_.T.tolist()})
isotonic = []
for size in (1, 5, 30, 100):
    values, weights = 3 - 0.03 * numpy.arange(size) + rng.normal(0, 0.3, size), rng.integers(1, 50, size)
    fitted = IsotonicRegression(increasing=False).fit_transform(numpy.arange(size), values, sample_weight=weights)
    isotonic.append({"values": values.tolist(), "weights": weights.tolist(), "fitted": fitted.tolist()})
golden = {
    "function": "sklearn.linear_model.Ridge; sklearn.isotonic.IsotonicRegression(increasing=False)",
    "versions": {"scikit-learn": sklearn.__version__, "numpy": numpy.__version__},
    "tolerance": 1e-9,
    "ridge": ridge,
    "isotonic": isotonic,
}
with open("models.json", "w") as file:
    json.dump(golden, file, separators=(",", ":"))
    file.write("\n")
