"""Writes text_width.json: how wide characters are in three sans-serif fonts, in thousandths of the font size.

Usage: make_text_width.py FOLDER, where FOLDER holds the regular and the bold file of each font:
Liberation Sans (as wide as Arial and Helvetica; Debian's fonts-liberation), DejaVu Sans (Debian's fonts-dejavu-core)
and Noto Sans (the crate ttf-noto-sans, which the feature `png` of tn-eval embeds).
"""

import json
import pathlib
import sys

import fontTools
from fontTools.ttLib import TTFont

FONTS = ["LiberationSans-Regular", "LiberationSans-Bold", "DejaVuSans", "DejaVuSans-Bold", "NotoSans-Regular", "NotoSans-Bold"]
OTHERS = "−–—…±×≥≤µμ·•°éüöñøßÅÉÜαβγδκλΔΩЖщю₀₁₂₃₄₅₆₇₈₉"


def main():
    folder = pathlib.Path(sys.argv[1])
    characters = [chr(code) for code in range(32, 127)] + list(OTHERS)
    versions, widths = {"fontTools": fontTools.version}, {"regular": {}, "bold": {}}
    for name in FONTS:
        font = TTFont(folder / f"{name}.ttf")
        versions[name] = font["name"].getDebugName(5)
        cmap, metrics, em = font.getBestCmap(), font["hmtx"], font["head"].unitsPerEm
        weight = "bold" if name.endswith("Bold") else "regular"
        for character in characters:
            if ord(character) in cmap:
                width = round(1000 * metrics[cmap[ord(character)]][0] / em)
                widths[weight].setdefault(character, []).append(width)
    golden = {
        "function": "advance widths of the fonts' hmtx tables",
        "description": "For each character its width in every one of the fonts that has it, in thousandths of the font size.",
        "versions": versions,
        "cases": widths,
    }
    path = pathlib.Path(__file__).with_name("text_width.json")
    lines = json.dumps(golden, ensure_ascii=False, separators=(",", ":")).replace("],", "],\n")
    path.write_text(lines + "\n", encoding="utf-8")


main()
