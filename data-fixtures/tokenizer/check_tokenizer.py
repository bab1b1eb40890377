"""Encodes sample texts with the Python tokenizers and transformers from the tokenizer.json beside it.

The file is written by `cargo test -p tn-model --test tokenizer -- --ignored`; this writes expected.json, against which
that test suite checks the ids of the Rust side. Both Python libraries must agree and give the text back.
"""

import json
import pathlib

import tokenizers
import transformers

HERE = pathlib.Path(__file__).parent
TEXTS = [
    "<pos> X: -912, Y: 3506 <meta> class: IT Glut, spatial_domain: L2/3 <cs> GFAP IGF2 H2-K1 </cs>",
    " <pos> X: 12.5, Y: -0.25 <cs> 1700016P03RIK CCL3/L1 HLA-A AC012345.1 IGH@ </cs> <pos> X: 7, Y: 0 <cs> GABA OTHER </cs>",
    "GFAP  GFAP\tgfap\n(AQP4) IGH@@ 2/3 5 <CS> </ab> <b2>",
    "naïve 中文 é€ 🧬 \u0000 ½x",
    "a<|endoftext|> b",
    "",
]


def main():
    path = HERE / "tokenizer.json"
    plain = tokenizers.Tokenizer.from_file(str(path))
    fast = transformers.PreTrainedTokenizerFast(tokenizer_file=str(path))
    cases = []
    for text in TEXTS:
        ids = plain.encode(text).ids
        assert fast(text, add_special_tokens=False)["input_ids"] == ids, text
        assert plain.decode(ids, skip_special_tokens=False) == text, text
        cases.append({"text": text, "ids": ids})
    content = {
        "script": pathlib.Path(__file__).name,
        "versions": {"tokenizers": tokenizers.__version__, "transformers": transformers.__version__},
        "cases": cases,
    }
    (HERE / "expected.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
