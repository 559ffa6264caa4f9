"""Reports of a run, of two samples, and of methods side by side: one HTML file that opens anywhere, with no network,
and says plainly whether the samples are right."""

from ganneal.report.comparison import render_comparison
from ganneal.report.grid import render_grid
from ganneal.report.plots import image_grid, save_grid, scatter
from ganneal.report.render import render
from ganneal.report.verdict import Outcome, judge

__all__ = ["Outcome", "image_grid", "judge", "render", "render_comparison", "render_grid", "save_grid", "scatter"]
