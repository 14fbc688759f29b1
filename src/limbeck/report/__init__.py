"""The report and the model card of a bundle, as strings: `page` and `card`. What they need is in `facts`."""

from limbeck.report.card import card
from limbeck.report.facts import Judged
from limbeck.report.page import page

__all__ = ["Judged", "card", "page"]
