"""`report.html`: one file that needs no network and no script."""

from __future__ import annotations

from limbeck.bundle import Manifest
from limbeck.report.facts import Judged
from limbeck.report.html import Html, el, esc, join
from limbeck.report.made import made_section
from limbeck.report.quality_section import quality_section
from limbeck.report.sections import data_section, training_section, verdict_section
from limbeck.report.style import CSS
from limbeck.report.sweep_section import sweep_section
from limbeck.report.variants import changed_section, variants_section
from limbeck.report.worth import standings_of, worth_section

# A page that holds the user's texts must not be able to fetch or run anything, whatever stands in them.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def page(manifest: Manifest, *, name: str, judged: Judged | None, missing: str = "") -> str:
    """The whole report of the bundle `name`, as HTML.

    `judged` holds the rows it was judged on; where they are None, `missing` says why, and the page says it too.
    """
    sections = {
        **({"worth": ("Was it worth it?", worth_section(manifest))} if standings_of(manifest) else {}),
        "variants": ("Variants", variants_section(manifest)),
        "changed": ("Changed answers", changed_section(manifest, judged, missing)),
        "quality": ("Quality on held-out rows", quality_section(manifest, judged, missing)),
        **({"sweep": ("Sweep", sweep_section(manifest))} if "sweep" in manifest.training else {}),
        "training": ("Training", training_section(manifest)),
        "data": ("Data", data_section(manifest)),
        "made": ("How it was made", made_section(manifest, name)),
    }
    links = el("nav", *(el("a", title, href=f"#{anchor}") for anchor, (title, _) in sections.items()))
    written = join(el("section", el("h2", title), body, id=anchor) for anchor, (title, body) in sections.items())
    return frame(f"{name}: limbeck report", join([verdict_section(manifest, name), links, written]))


def frame(title: str, body: Html) -> str:
    """A page of its own, that can neither fetch nor run anything."""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="referrer" content="no-referrer">
<title>{esc(title)}</title>
<style>{CSS}</style>
</head>
<body><main>
{body}
</main></body>
</html>
"""
