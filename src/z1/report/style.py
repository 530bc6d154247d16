"""Colours and style sheet of the page and the pictures.

One palette for both: each colour has a dark counterpart, which the page applies to its pictures if the reader's system
is dark. The colours of models follow Okabe and Ito's palette, which works for every kind of colour vision.
"""

from __future__ import annotations

from typing import Any

INK, SOFT, GRID, PAPER = "#1c1f23", "#636870", "#e4e6e9", "#ffffff"
MODELS = ("#0072b2", "#c84e00", "#00855f", "#9c4f8b", "#7d6300", "#4a4aa8")
_DARK_MODELS = ("#5eb5ee", "#f39253", "#3ecb9c", "#dc9fce", "#dfba52", "#a3a3f2")
MARKERS = "osD^vP"
DASHES: tuple[Any, ...] = ("-", (0, (6, 1.5)), (0, (2.5, 1)), (0, (1, 1)), (0, (6, 1.5, 1, 1.5)), (0, (9, 2)))
"""Marker and dashes of each model, which tell models apart in grey."""

DARK = {
    INK: "#e5e5e1",
    SOFT: "#a0a5ad",
    GRID: "#33383f",
    PAPER: "#16181c",
    **dict(zip(MODELS, _DARK_MODELS, strict=True)),
}
"""Each colour's counterpart on a dark page."""

_NAMES = {INK: "--ink", SOFT: "--soft", GRID: "--grid", PAPER: "--paper"}
NAMES = _NAMES | {colour: f"--model-{index}" for index, colour in enumerate(MODELS)}
"""Each colour's name in the page."""


def _colours(dark: bool) -> str:
    return "".join(f"{name}:{DARK[colour] if dark else colour};" for colour, name in NAMES.items())


CSS = (
    ":root{color-scheme:light dark;"
    + _colours(dark=False)
    + """
--wash:#f6f7f8;--thought:#eaf2fa;--hint:#fdeccb;--answer:#dcf3e4;--end:#eceef0;--right:#11693f;--wrong:#a8321a;}
@media (prefers-color-scheme:dark){:root{"""
    + _colours(dark=True)
    + """
--wash:#1e2126;--thought:#1d2f40;--hint:#41330f;--answer:#173d29;--end:#2c3036;--right:#63cf97;--wrong:#f58d74;}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:960px;padding:40px 24px 64px;background:var(--paper);color:var(--ink);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
h1{font-size:26px;line-height:1.3;letter-spacing:-.01em;margin:0 0 12px;text-wrap:pretty;overflow-wrap:anywhere}
.headline{font-size:17px}
h2{overflow-wrap:anywhere;font-size:20px;line-height:1.3;margin:56px 0 6px;letter-spacing:-.01em}
p{margin:6px 0 12px;max-width:46em}
.soft,figcaption,footer{color:var(--soft)}
small,figcaption,.meta,.key{font-size:13.5px}
a{color:inherit}
figure{margin:18px 0 0}
figure svg{display:block;width:100%;height:auto;max-width:713px}
svg.narrow{display:none}
figcaption{max-width:56em;margin-top:8px}
div.wide{overflow-x:auto;margin-top:14px}
.sideways{display:none;color:var(--soft);font-size:13.5px;margin:6px 0 0}
table{border-collapse:collapse;width:100%;font-size:14px;font-variant-numeric:tabular-nums}
th,td{padding:6px 9px;text-align:right;vertical-align:baseline;white-space:nowrap;border-bottom:1px solid var(--grid)}
th{font-weight:600;vertical-align:bottom;white-space:normal;line-height:1.25}
thead th{border-bottom:1.5px solid var(--soft)}
td small{display:block;color:var(--soft);font-size:12px;line-height:1.3}
table.small{width:auto;min-width:60%}
th:first-child,td:first-child,.left{text-align:left}
tbody th{font-weight:inherit;vertical-align:baseline}
tr.model th{font-weight:600}
tr.model th{padding-top:18px;font-size:15px}
tr.free td,tr.free th{font-weight:600}tr.free td small{font-weight:400}
.swatch{display:inline-block;width:.65em;height:.65em;border-radius:50%;margin-right:.45em}
dl{display:grid;grid-template-columns:max-content 1fr;gap:4px 18px;margin:14px 0}
dt{font-weight:600}dd{margin:0}
.key span{margin-right:14px;white-space:nowrap}
article{border:1px solid var(--grid);border-radius:8px;margin:18px 0;overflow:hidden;break-inside:avoid}
article header{display:flex;flex-wrap:wrap;gap:2px 16px;align-items:baseline;padding:9px 14px;background:var(--wash);
border-bottom:1px solid var(--grid);font-size:14px}
.verdict{font-weight:700;color:var(--wrong)}.verdict.right{color:var(--right)}
.sides{display:grid;grid-template-columns:minmax(0,2fr) minmax(0,3fr)}
.sides>div{padding:10px 14px 14px}.sides>div+div{border-left:1px solid var(--grid)}
.sides h3{font-size:12.5px;font-weight:600;color:var(--soft);margin:0 0 6px}
.text{white-space:pre-wrap;overflow-wrap:anywhere;max-height:36em;overflow-y:auto;
font:13px/1.6 ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
mark{color:inherit;background:var(--end);padding:1px 0;-webkit-box-decoration-break:clone;box-decoration-break:clone}
mark.thought,mark.biased{background:var(--thought)}mark.hint,mark.nudge,mark.close{background:var(--hint)}mark.answer{background:var(--answer)}
.tag{font:600 10.5px/1 system-ui,sans-serif;border:1px solid currentColor;border-radius:3px;padding:0 4px;
margin:0 5px 0 2px;vertical-align:1px;user-select:none;white-space:nowrap}
.meta{padding:7px 14px;border-top:1px solid var(--grid);color:var(--soft)}
footer{margin-top:64px;padding-top:14px;border-top:1px solid var(--grid);font-size:14px}
@media (max-width:900px){.sideways{display:block}
tbody tr:not(.model) th:first-child{position:sticky;left:0;background:var(--paper)}}
@media (max-width:640px){body{padding:24px 16px 48px}h1{font-size:22px}.headline{font-size:16px}
svg.wide{display:none}figure svg.narrow{display:block;max-width:400px}
.sides{grid-template-columns:1fr}
.sides>div+div{border-left:0;border-top:1px solid var(--grid)}}
@media print{.text{max-height:none}body{padding:0}}
"""
)
