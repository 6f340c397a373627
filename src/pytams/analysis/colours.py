"""The colours of pictures, whatever draws them."""

BLUE, ORANGE, GREEN, GREY = "#1F83C4", "#D55E00", "#009E73", "#7F7F7F"
"""Colour-blind readers tell them apart, and they show on white and on black."""
