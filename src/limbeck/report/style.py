"""The look of the report: two palettes by the reader's preference, one column on a phone, plain on paper."""

from __future__ import annotations

_LIGHT = """--bg:#ffffff;--fg:#1b1f24;--muted:#5b6570;--line:#d5dae0;--card:#f5f7f9;
--c1:#2563c9;--c2:#c2570c;--good:#1a7f45;--bad:#c0262d;"""
_DARK = """--bg:#14171b;--fg:#e4e8ec;--muted:#9aa5b1;--line:#353c45;--card:#1d2227;
--c1:#6ea8ff;--c2:#f2a05c;--good:#58c98a;--bad:#ff7b7b;"""

CSS = (
    f":root{{color-scheme:light dark;{_LIGHT}}}\n"
    f"@media (prefers-color-scheme:dark){{:root{{{_DARK}}}}}\n"
    """
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--fg);font:16px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:1200px;margin:0 auto;padding:1rem 1rem 4rem}
h1{font-size:1.5rem;line-height:1.25;margin:.5rem 0;overflow-wrap:anywhere}
h2{font-size:1.25rem;margin:2.5rem 0 .75rem;padding-top:.75rem;border-top:1px solid var(--line)}
h3{font-size:1rem;margin:1.5rem 0 .5rem}
p{margin:.5rem 0;max-width:75ch;overflow-wrap:anywhere}
ul,ol{margin:.5rem 0;padding-left:1.4rem}li{overflow-wrap:anywhere}
a{color:var(--c1)}
nav{font-size:.875rem;display:flex;flex-wrap:wrap;gap:.25rem 1rem;margin:1rem 0}
.verdict{font-size:1.125rem;border-left:4px solid var(--good);padding:.25rem 0 .25rem .9rem;margin:1rem 0}
.verdict.none{border-color:var(--bad)}
.note,figcaption,.small{color:var(--muted);font-size:.875rem}
.missing{border:1px dashed var(--line);border-radius:6px;padding:.6rem .9rem;color:var(--muted)}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(140px,1fr));gap:.6rem;margin:1rem 0}
.card{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:.6rem .8rem}
.card b{display:block;font-size:1.3rem;line-height:1.3;font-variant-numeric:tabular-nums}
.card span{display:block;color:var(--muted);font-size:.8125rem;line-height:1.35}
.scroll{overflow-x:auto;-webkit-overflow-scrolling:touch}
table{border-collapse:collapse;font-size:.8125rem;margin:.5rem 0}
th,td{padding:.35rem .45rem;border-bottom:1px solid var(--line);text-align:left;vertical-align:top}
thead th{color:var(--muted);font-weight:600;vertical-align:bottom}
.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
.facts th{font-weight:400;color:var(--muted);white-space:nowrap}
.facts td{overflow-wrap:anywhere;min-width:12rem}
.text{display:block;min-width:15rem;max-width:46ch;overflow-wrap:anywhere}
.name{white-space:nowrap}.label{display:inline-block;min-width:6rem;max-width:24ch;overflow-wrap:anywhere}
.holds{color:var(--good)}.refused{color:var(--bad)}.chosen{font-weight:700}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,440px),1fr));gap:0 2rem;align-items:start}
figure{margin:.75rem 0;max-width:560px;min-width:0}
figure.wide{max-width:860px}.wide svg{min-width:560px}
svg{display:block;width:100%;height:auto}
svg *{stroke-linejoin:round;stroke-linecap:butt}
pre{background:var(--card);border:1px solid var(--line);border-radius:6px;padding:.7rem .9rem;overflow-x:auto;
font:13px/1.5 ui-monospace,Menlo,Consolas,monospace}
code{font-family:ui-monospace,Menlo,Consolas,monospace;font-size:.9em}
details{margin:.75rem 0}summary{cursor:pointer;color:var(--c1)}
"""
    f"@media print{{:root{{color-scheme:light;{_LIGHT}}}"
    """
body{font-size:11pt}main{max-width:none;padding:0}nav{display:none}h2{break-after:avoid}
figure,tr,.card,.verdict{break-inside:avoid}.scroll{overflow:visible}.wide svg{min-width:0}}
"""
)
